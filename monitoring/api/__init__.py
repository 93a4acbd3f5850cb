"""The JSON API: parses, calls a use case, renders. One module a noun."""
