"""Declared against observed: what a difference is, and the finders of each kind (`registry.drift_finding`)."""
