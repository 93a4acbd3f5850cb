"""The portal's page /usage: its address, what is read for it, and what is said."""

from accounting.views.portal.page import usage_pages

__all__ = ["usage_pages"]
