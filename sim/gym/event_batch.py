"""The events of one control period."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from liquid_nav.events import Event


class EventBatch(Sequence[Event]):
    """Events in order of arrival.

    Batches are equal when their events have the same kinds, times and measurements (single events
    compare by identity), so that the `info` of two equal steps is equal.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events = tuple(events)

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: Any) -> Any:
        return self._events[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EventBatch) or len(self) != len(other):
            return False
        return all(
            type(mine) is type(theirs)
            and all(np.array_equal(value, vars(theirs)[key]) for key, value in vars(mine).items())
            for mine, theirs in zip(self, other, strict=True)
        )

    def __repr__(self) -> str:
        kinds = ", ".join(f"{event.channel.value}@{event.arrival}" for event in self)
        return f"EventBatch({kinds})"
