"""A real drone over MAVLink behind the boundary of a vehicle, without ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from liquid_nav.command import Command, Mode
from liquid_nav.events import CameraFrame, Channel, Event
from liquid_nav.mavlink.camera import CameraThread, FrameSource, Image
from liquid_nav.mavlink.link import Link
from liquid_nav.onboard import PolicyCamera
from liquid_nav.vehicle import Equipment, Vehicle

LONGEST_QUEUE = 1000
"""Events that wait for the pilot at most; then the oldest one is dropped."""

WAIT = 0.05
"""Seconds between two looks at a vehicle that measures nothing."""


class MavlinkVehicle(Vehicle):
    """A drone whose autopilot speaks MAVLink.

    Its IMU and odometry come over the link, its frames from a camera of the companion. Times are
    ns of `time.monotonic_ns`.

    It follows commands from when its pilot, or an order, puts it into OFFBOARD (PX4) or GUIDED
    (ArduPilot), and no longer than that: see `liquid_nav.mavlink.authority`.

    Args:
        link: to its autopilot, made without `on_event`.
        frames: gives the frames of its camera; None without a camera.
        camera: size and lens of those frames.
        rates: measurements per second, for `equipment`.

    Attributes:
        dropped: number of events that were dropped because the pilot was too slow.

    """

    def __init__(
        self,
        link: Link,
        frames: FrameSource | None = None,
        camera: PolicyCamera | None = None,
        rates: dict[Channel, float] | None = None,
    ) -> None:
        self.link, self._frames, self.dropped = link, frames, 0
        link.on_event = self._arrive
        usual = {Channel.IMU: 200.0, Channel.ODOMETRY: 30.0}
        if frames is not None:
            usual[Channel.CAMERA] = 30.0
        lens = (camera or PolicyCamera()) if frames is not None else None
        self._equipment = Equipment(usual if rates is None else rates, link.rate, lens)
        self._arrived: deque[Event] = deque()
        self._ready = threading.Condition()
        self._camera: CameraThread | None = None

    @property
    def equipment(self) -> Equipment:
        """What the drone has."""
        return self._equipment

    def connect(self) -> None:
        """Open the link, and start the camera."""
        self.link.open()
        if self._frames is not None and self._camera is None:
            self._camera = CameraThread(self._frames, self._on_frame)

    def disconnect(self) -> None:
        """Close both; setpoints end, and the autopilot does what it is set to do then."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
        self.link.close()

    def events(self) -> Iterator[Event]:
        """Yield measurements as they arrive, until the authority lapses."""
        while not self.link.authority.lapsed:
            yield from self.wait()
            self.link.watch(time.monotonic_ns())

    def wait(self, timeout: float = WAIT) -> list[Event]:
        """Take the events that have arrived; if there are none, wait up to `timeout` seconds."""
        with self._ready:
            if not self._arrived:
                self._ready.wait(timeout)
            events = list(self._arrived)
            self._arrived.clear()
        # Two threads bring them: arrivals must never decrease.
        return sorted(events, key=lambda event: event.arrival)

    def command(self, command: Command) -> None:
        """Send a command. A nominal one is fresh: the safety layer gives no other."""
        self.link.command(command, fresh=command.mode is Mode.NOMINAL)

    def _on_frame(self, image: Image) -> None:
        now = time.monotonic_ns()
        self._arrive(CameraFrame(now, now, image))

    def _arrive(self, event: Event) -> None:
        with self._ready:
            if len(self._arrived) >= LONGEST_QUEUE:
                self._arrived.popleft()
                self.dropped += 1
            self._arrived.append(event)
            self._ready.notify()


def fly(
    vehicle: MavlinkVehicle,
    on_event: Callable[[Event], object],
    command_at: Callable[[int], Command],
    until: Callable[[Command], bool],
) -> None:
    """Let a pilot fly a vehicle that is connected, until `until` says that it is enough.

    The events that have arrived are taken in together and answered by one command. A vehicle whose
    sensors are silent gets a command every `WAIT` seconds all the same: the pilot's answer to that.

    Args:
        vehicle: connected.
        on_event: of the pilot.
        command_at: gives the pilot's command at a time, ns.
        until: asked after each command.

    """
    while True:
        for event in vehicle.wait():
            on_event(event)
        command = command_at(time.monotonic_ns())
        vehicle.command(command)
        if until(command):
            return
