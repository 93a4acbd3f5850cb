"""What GOCDB's interface asks of the registry: its parameters, scopes, filters and pages; never its HTTP."""
