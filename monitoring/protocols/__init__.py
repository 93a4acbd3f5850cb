"""Interfaces that keep another system's rules: ARGO's web API, versions 2 and 3."""
