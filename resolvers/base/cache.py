"""A cache that is bounded by the weight of its entries."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A bounded map that evicts the entry that was used least recently.

    `capacity` is the total weight of the entries that it keeps.
    """

    def __init__(self, capacity: int) -> None:
        self._free = capacity
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value and mark it as used, or None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def forget(self, key: K) -> None:
        """Remove an entry, if there is one."""
        _, freed = self._entries.pop(key, (None, 0))
        self._free += freed

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep the value; entries are evicted until all weigh no more than the capacity."""
        _, freed = self._entries.pop(key, (None, 0))
        self._entries[key] = value, weight
        self._free += freed - weight
        while self._free < 0:
            _, (_, freed) = self._entries.popitem(last=False)
            self._free += freed
