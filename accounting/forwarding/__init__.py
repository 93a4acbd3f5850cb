"""Upward: month summaries for a higher federation, in APEL's own message formats.

What was summed is noted (`due`), becomes text (`content`), is written down as signed messages where the text differs
from what the higher federation holds (`writing`), and is sent in order (`sending`).
"""
