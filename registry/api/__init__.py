"""The JSON API under /api/v1: each route parses, calls a use case, renders."""
