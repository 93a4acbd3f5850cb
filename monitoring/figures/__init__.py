"""Availability and reliability: timelines of a day, what they amount to, and the days that are kept."""
