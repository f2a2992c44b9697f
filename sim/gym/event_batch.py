"""The events of one control period."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from liquid_nav.events import Event


class EventBatch(Sequence[Event]):
    """Events in order of arrival.

    Batches are equal if their events have the same types, times and measurements, although single
    events compare by identity. So two equal steps have equal `info`.
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
            type(first) is type(second)
            and all(np.array_equal(value, vars(second)[key]) for key, value in vars(first).items())
            for first, second in zip(self, other, strict=True)
        )

    def __repr__(self) -> str:
        kinds = ", ".join(f"{event.channel.value}@{event.arrival}" for event in self)
        return f"EventBatch({kinds})"
