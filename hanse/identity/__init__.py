"""Who is calling: names, certificates and proxies, trust, tokens, principals and what they may do."""
