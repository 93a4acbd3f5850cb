"""HTML pages."""
from typing import Any
rooms: list[Any] = []
