"""HTML pages of the registry; the same use cases as the API."""
