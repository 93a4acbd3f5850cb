"""`hanse init`: from answers to an installation that can be started. What is there already is kept."""
