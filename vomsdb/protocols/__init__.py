"""Interfaces that keep the rules of other systems."""
