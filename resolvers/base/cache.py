"""A cache that is bounded by the weight of its entries."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A bounded map that forgets what was used longest ago."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, now the one used last; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, places: int = 1) -> None:
        """Keep the value in so many places of the cache, at the cost of the oldest ones."""
        _, freed = self._entries.pop(key, (None, 0))
        self._entries[key] = value, places
        self._free += freed - places
        while self._free < 0:
            _, (_, freed) = self._entries.popitem(last=False)
            self._free += freed
