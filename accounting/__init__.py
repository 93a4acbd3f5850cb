"""Usage records in, CPU hours out, by site, VO, user and month."""
