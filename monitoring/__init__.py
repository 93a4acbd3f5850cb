"""Probes of every endpoint, status, and one alert for one cause."""
