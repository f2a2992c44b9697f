"""Sensors as asynchronous sources: each measures on its own clock, and what it saw comes later."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol
from weakref import WeakKeyDictionary

from liquid_nav.events import Event
from liquid_nav_sim.faults.flight import Faults
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.vehicle.state import Motion


class Source(Protocol):
    """A sensor with its clock and its link."""

    def advance(self, motion: Motion) -> Iterable[Event]:
        """Live through one physics step.

        Args:
            motion: the true motion over the step; bodies are where they are at its end.

        Returns:
            The measurements that were completed in the step and will arrive, in the order of their
            stamps; none arrives before the end of the last step.
        """
        ...


class Sensor(Protocol):
    """A model of what a sensor measures in an instant."""

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> Event | None:
        """Measure at `stamp` ns, within `motion`.

        Args:
            motion: the true motion over a physics step.
            stamp: of the measurement, ns, later than that of the one before.
            arrival: ns, or None for one that will never arrive: nobody sees what it holds, and the
                sensor need only move on.
        """
        ...


class Sampler:
    """The source of a sensor that measures in an instant.

    Args:
        clock: when it measures and when that arrives.
        sensor: what it measures.
    """

    def __init__(self, clock: SensorClock, sensor: Sensor) -> None:
        self._clock, self._sensor = clock, sensor

    def advance(self, motion: Motion) -> Iterator[Event]:
        """Take the measurements that are due, see `Source`."""
        clock = self._clock
        while clock.stamp <= motion.end:
            event = self._sensor.measure(motion, clock.stamp, clock.arrival)
            clock.advance()
            if event is not None:
                yield event


class Sensors:
    """All sources of a vehicle, merged: measurements in the order of their arrival.

    Measurements that arrive at one instant keep the order of the physics steps that completed them,
    and within a step that of the sources.

    Args:
        sources: what is fitted, by the names of the sensors.
        faults: what becomes of each measurement on its way.
    """

    def __init__(self, sources: Mapping[str, Source], faults: Faults) -> None:
        self._sources, self._faults = list(sources.items()), faults
        self._pending: list[tuple[int, int, Event]] = []
        self._count = 0
        self._names: WeakKeyDictionary[Event, str] = WeakKeyDictionary()

    def advance(self, motion: Motion) -> None:
        """Let every source live through one physics step."""
        for name, source in self._sources:
            for measured in source.advance(motion):
                event = self._faults.measured(measured, name)
                if event is not None:
                    self._names[event] = name
                    heapq.heappush(self._pending, (event.arrival, self._count, event))
                    self._count += 1

    def next(self, time: int) -> Event | None:
        """Take the next measurement that has arrived by `time` ns, if there is one."""
        if self._pending and self._pending[0][0] <= time:
            return heapq.heappop(self._pending)[2]
        return None

    def name_of(self, event: Event) -> str | None:
        """Name of the sensor that an event came from; None for one that came from no source."""
        return self._names.get(event)
