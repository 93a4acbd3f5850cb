"""Interfaces that keep another system's rules."""
