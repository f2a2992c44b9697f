"""Asynchronous sources: each sensor measures on its own clock, and its events arrive later."""

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
        """Advance by one physics step.

        Args:
            motion: true motion over the step. The bodies of the scene are where they are at its
                end.

        Returns:
            The measurements that were completed in the step and will arrive, in the order of their
            stamps. None of them arrives before the end of the previous step.
        """
        ...


class Sensor(Protocol):
    """A sensor that measures in an instant."""

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> Event | None:
        """Measure at `stamp` ns, within `motion`.

        Args:
            motion: true motion over a physics step.
            stamp: stamp of the measurement, ns, later than that of the previous one.
            arrival: its arrival, ns, or None if it is lost. The sensor still has to draw its random
                numbers, so that the later measurements stay the same.

        Returns:
            The measurement; None if it is lost or there is nothing to report.
        """
        ...


class Sampler:
    """The source of a sensor that measures in an instant.

    Args:
        clock: stamps and arrivals of its measurements.
        sensor: the sensor.
    """

    def __init__(self, clock: SensorClock, sensor: Sensor) -> None:
        self._clock, self._sensor = clock, sensor

    def advance(self, motion: Motion) -> Iterator[Event]:
        """Yield the measurements that are due, see `Source`."""
        clock = self._clock
        while clock.stamp <= motion.end:
            event = self._sensor.measure(motion, clock.stamp, clock.arrival)
            clock.advance()
            if event is not None:
                yield event


class Sensors:
    """Merges all sources of a vehicle, in the order in which their measurements arrive.

    Measurements that arrive at the same time are ordered by the physics step that completed them,
    and within a step by source.

    Args:
        sources: source of each fitted sensor, by the name of the sensor.
        faults: faults of the flight, which act on the measurements.
    """

    def __init__(self, sources: Mapping[str, Source], faults: Faults) -> None:
        self._sources, self._faults = list(sources.items()), faults
        self._pending: list[tuple[int, int, Event]] = []
        self._count = 0
        self._origins: WeakKeyDictionary[Event, tuple[str, Event | None]] = WeakKeyDictionary()

    def advance(self, motion: Motion) -> None:
        """Advance every source by one physics step."""
        for name, source in self._sources:
            for measured in source.advance(motion):
                event = self._faults.measured(measured, name)
                if event is not None:
                    self.note(event, name, measured)
                    heapq.heappush(self._pending, (event.arrival, self._count, event))
                    self._count += 1

    def next(self, time: int) -> Event | None:
        """Remove and return the next measurement that has arrived by `time` ns, if any."""
        if self._pending and self._pending[0][0] <= time:
            return heapq.heappop(self._pending)[2]
        return None

    def note(self, event: Event, name: str, measured: Event) -> None:
        """Remember that `event` is what arrives of a measurement of the sensor `name`.

        It is remembered for as long as the event is in use anywhere.
        """
        self._origins[event] = (name, None if event is measured else measured)

    def name_of(self, event: Event) -> str | None:
        """Name of the sensor that an event came from; None if it came from no source."""
        origin = self._origins.get(event)
        return None if origin is None else origin[0]

    def measured(self, event: Event) -> Event:
        """The measurement before faults acted on it; the event itself if none did."""
        origin = self._origins.get(event)
        return event if origin is None else origin[1] or event
