"""Sites, services, endpoints, downtimes and roles: where sites come from, and who may act for them."""
