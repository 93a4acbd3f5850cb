"""HTML pages of the registry; the same use cases as the API."""

from __future__ import annotations

from hanse.web import Pages

pages = Pages("registry_pages", __name__)
