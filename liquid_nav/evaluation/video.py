"""Videos and pictures of flights."""

from pathlib import Path

import cv2
import numpy as np

from liquid_nav.command import Command
from liquid_nav.evaluation.flight import Flight, Pilot, fly
from liquid_nav.evaluation.view import FlightView, Image
from liquid_nav.events import SECOND, CameraFrame, Event
from liquid_nav.files import write_whole
from liquid_nav.mp4 import Mp4Writer
from liquid_nav_sim.world import World

FPS = 15
"""Frames per simulated second."""

HOLD = 1.0
"""Seconds for which the end of a flight stands still."""


class FlightVideo:
    """An MP4 of flights, one after the other, in simulated real time.

    Call `begin` before each flight, `watch` after each event, `end` after the flight. The file
    grows under a hidden name beside `path` and appears whole on `close`, also when a flight was cut
    short; `discard` leaves nothing.

    Args:
        path: the file to make; one that is there is replaced.
        world: the world that flies.

    Raises:
        OSError: when the file cannot be made.
    """

    def __init__(self, path: Path, world: World) -> None:
        self._world = world
        self._view = FlightView(world)
        self._writer = Mp4Writer(path, self._view.width, self._view.height, FPS)
        self.begin("")

    def begin(self, title: str) -> None:
        """Expect the first event of a flight, captioned `title`."""
        self._title = title
        self._onboard: Image | None = None
        self._command = Command(0)
        self._shot = 0

    def watch(self, event: Event, command: Command) -> None:
        """Note an event and the command that it led to; draw what is due."""
        if isinstance(event, CameraFrame):
            self._onboard = event.image
        self._command = command
        if self._onboard is None or self._world.time * FPS < self._shot * SECOND:
            return
        image = self._view.compose(self._title, self._onboard, command)
        # Where no event came for long, the picture stands still so that time keeps its pace.
        while self._shot * SECOND <= self._world.time * FPS:
            self._writer.write(image)
            self._shot += 1

    def end(self) -> None:
        """Show how the flight ended."""
        if self._onboard is None:
            return
        image = self._view.compose(self._title, self._onboard, self._command)
        for _ in range(round(HOLD * FPS)):
            self._writer.write(image)

    def close(self) -> None:
        """Finish the file; with no frame in it there is none."""
        self._writer.close()

    def discard(self) -> None:
        """Leave nothing."""
        self._writer.discard()


def save_picture(
    path: Path, world: World, pilot: Pilot, seed: int, moments: tuple[float, ...]
) -> Flight:
    """Fly the flight of `seed` and save a PNG of it: one row per moment, first on top.

    Args:
        path: the file to make, whole or not at all.
        world: the simulator; reset here.
        pilot: who flies; reset here.
        seed: seed of scene and disturbances.
        moments: when to look, simulated seconds, rising; moments after the end show the end.

    Returns:
        The flight.
    """
    view = FlightView(world)
    rows: list[Image] = []
    seen: list[Image] = []
    last = Command(0)

    def watch(event: Event, command: Command) -> None:
        nonlocal last
        last = command
        if isinstance(event, CameraFrame):
            seen[:] = [event.image]
        if seen and len(rows) < len(moments) and world.time >= moments[len(rows)] * SECOND:
            rows.append(view.compose(f"seed {seed}", seen[0], command))

    flight = fly(world, pilot, seed, watch)
    end = view.compose(f"seed {seed}", seen[0], last)
    rows += [end] * (len(moments) - len(rows))
    save_png(path, np.concatenate(rows))
    return flight


def save_png(path: Path, image: Image) -> None:
    """Save a uint8 RGB image (H, W, 3) as PNG, whole or not at all."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    write_whole(path, encoded.tobytes())
