"""The portal's page /usage: its address, what is read for it, and what is said."""

from accounting.views.portal import apel
from accounting.views.portal.page import usage_pages

# the first adds its route to the room of the portal
__all__ = ["apel", "usage_pages"]
