"""Where good records go: one file a type of record, found here by its STORE. Adding a type is adding a file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from accounting.stores.contract import Placed, Said, Store, Touched


@cache
def _found() -> tuple[Store[Any], ...]:
    """The STORE of every file of this folder."""
    modules = sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    made = [getattr(importlib.import_module(f"{__name__}.{found.name}"), "STORE", None) for found in modules]
    return tuple(store for store in made if isinstance(store, Store))


@cache
def stores() -> dict[str, Store[Any]]:
    """A store of every kind; those of one kind sum alike."""
    return {store.kind: store for store in _found()}


@cache
def store_for(row_type: type) -> Store[Any]:
    """The store that takes rows of this type."""
    return next(store for store in _found() if store.row_type is row_type)


__all__ = ["Placed", "Said", "Store", "Touched", "store_for", "stores"]
