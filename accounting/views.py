"""The pages."""

from __future__ import annotations

from hanse.web import Pages

usage_pages = Pages("accounting_pages", __name__)
