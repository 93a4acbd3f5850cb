"""Moving in: what other registries hold, read, compared with ours, and taken over."""
