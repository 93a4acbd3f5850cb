"""Other forms of what the registry holds, one file a form."""
