"""Moving in from another membership service: read, planned, then taken over by the use cases in one transaction."""
