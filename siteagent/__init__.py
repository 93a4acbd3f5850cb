"""Hanse's site agent: receives the identities of a VO at a cloud site and proves that it applied them."""

__version__ = "0.1.0"
