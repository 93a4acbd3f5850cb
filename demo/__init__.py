"""The demo federation: its CA, its people, its simulated clouds, and the story they play."""
