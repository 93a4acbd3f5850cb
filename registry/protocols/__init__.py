"""Interfaces that keep another system's rules, one file a protocol."""
