"""`hanse backup` and `hanse restore`: all services of a machine, each a dump and its files, under one manifest."""
