"""What was made of objects that many requests share, kept as long as these very objects are asked about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Lately(Generic[Made]):
    """The last `many` results; the objects that they were made of are known by what they are, not by their value.

    For objects that nobody changes. Two threads may make the same at once; either result serves.
    """

    def __init__(self, many: int = 8) -> None:
        self._many = many
        self._kept: OrderedDict[Hashable, tuple[tuple[object, ...], Made]] = OrderedDict()
        self._lock = Lock()

    def get(self, of: tuple[object, ...], how: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives for the objects `of`, asked for in the way `how`."""
        key = (tuple(map(id, of)), how)
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
        if known is not None:
            return known[1]
        made = make()
        with self._lock:
            self._kept[key] = (of, made)  # held, so that no other object can come by the same id
            while len(self._kept) > self._many:
                self._kept.popitem(last=False)
        return made
