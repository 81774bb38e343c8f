"""A bounded cache that all visits share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any


class Cache:
    """Keeps the values used last; safe for threads, and two that ask for one missing value make it once."""

    def __init__(self, capacity: float, weigh: Callable[[Any], float] = lambda value: 1):
        """Create an empty cache.

        Args:
            capacity: the sum of weights above which the values used longest ago are dropped.
            weigh: weight of a value; every value weighs 1 by default.
        """
        self._capacity = capacity
        self._weigh = weigh
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, Future] = {}
        self._lock = Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._values

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, made if it is not there.

        What `make` raises is passed on to all who wait for the value, and nothing is kept.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.get(key)
            if making is None:
                mine = self._making[key] = Future()
        if making is not None:
            return making.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._values[key] = value
            del self._making[key]
            self._drop_oldest(self._capacity)
        mine.set_result(value)
        return value

    def drop(self, key: Hashable) -> None:
        """Forget a value, if it is there."""
        with self._lock:
            self._values.pop(key, None)

    def make_room(self, weight: float) -> None:
        """Drop the values used longest ago until one of this weight fits, or nothing is left to drop."""
        with self._lock:
            self._drop_oldest(self._capacity - weight, keep=0)

    def _drop_oldest(self, capacity: float, keep: int = 1) -> None:
        weight = sum(self._weigh(value) for value in self._values.values())
        while weight > capacity and len(self._values) > keep:
            _, value = self._values.popitem(last=False)
            weight -= self._weigh(value)
