"""Where good records go: one file a type of record, found here by its STORE. Adding a type is adding a file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from accounting.stores.contract import Placed, Said, Store, Touched


@cache
def stores() -> dict[str, Store[Any]]:
    """Every store of this folder, by its kind."""
    table: dict[str, Store[Any]] = {}
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        made = getattr(importlib.import_module(f"{__name__}.{found.name}"), "STORE", None)
        if isinstance(made, Store):
            table[made.kind] = made
    return table


@cache
def store_for(row_type: type) -> Store[Any]:
    """The store that takes rows of this type."""
    return next(store for store in stores().values() if store.row_type is row_type)


__all__ = ["Placed", "Said", "Store", "Touched", "store_for", "stores"]
