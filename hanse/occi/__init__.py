"""OCCI 1.1 and 1.2: what clouds and their clients say to one another (GFD.183, GFD.184, GFD.221 to 226)."""
