"""Profiles: which metrics count for a service, how states combine up to the site, which perfdata is too much."""
