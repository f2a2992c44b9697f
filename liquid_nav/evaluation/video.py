"""Videos and pictures of simulated flights."""

from pathlib import Path

import cv2
import numpy as np

from liquid_nav.captions import Image
from liquid_nav.command import Command
from liquid_nav.evaluation.flight import Flight, Pilot, fly
from liquid_nav.evaluation.view import FlightView
from liquid_nav.events import SECOND, CameraFrame, Event
from liquid_nav.files import WholeFile, write_whole
from liquid_nav.mp4 import Mp4Writer
from liquid_nav_sim.world import World

FPS = 15
"""Frames per simulated second."""

HOLD = 1.0
"""Seconds for which the last picture of a flight is shown."""


class FlightVideo(WholeFile):
    """An MP4 of flights, one after the other, at the pace of simulated time.

    Call `begin` before each flight, `watch` after each event, and `end` after the flight, if it was
    not interrupted.

    Args:
        path: the file to make; an existing file is replaced.
        world: the simulator that flies.

    Raises:
        OSError: when the file cannot be made.

    """

    def __init__(self, path: Path, world: World) -> None:
        self._world = world
        self._view = FlightView(world)
        self._writer = Mp4Writer(path, self._view.width, self._view.height, FPS)
        self.begin("")

    def begin(self, title: str) -> None:
        """Begin a flight; its pictures are captioned `title`."""
        self._title = title
        self._onboard: Image | None = None
        self._command = Command(0)
        self._shot = 0

    def watch(self, event: Event, command: Command) -> None:
        """Take in an event and the command after it, and draw the frames that are due."""
        if isinstance(event, CameraFrame):
            self._onboard = event.image
        self._command = command
        if not self._ready or self._world.time * FPS < self._shot * SECOND:
            return
        image = self._view.compose(self._title, self._onboard, command)
        # After a silence the picture is repeated, so that the video keeps pace with the flight.
        while self._shot * SECOND <= self._world.time * FPS:
            self._writer.write(image)
            self._shot += 1

    def end(self) -> None:
        """Show how the flight ended."""
        if not self._ready:
            return
        image = self._view.compose(self._title, self._onboard, self._command)
        for _ in range(round(HOLD * FPS)):
            self._writer.write(image)

    @property
    def _ready(self) -> bool:
        """Whether there is a picture to draw; a camera must have given its first frame."""
        return self._onboard is not None or not self._view.has_onboard

    def close(self) -> None:
        """Finish the file and put it in place; without a frame there is no file."""
        self._writer.close()

    def discard(self) -> None:
        """Delete the unfinished file; does nothing after `close`."""
        self._writer.discard()


def save_picture(
    path: Path, world: World, pilot: Pilot, seed: int, moments: tuple[float, ...]
) -> Flight:
    """Fly the flight of `seed` and save a PNG of it, one row per moment.

    Args:
        path: the file to make, whole or not at all.
        world: the simulator; reset here.
        pilot: gives the commands; reset here.
        seed: seed of scene and disturbances.
        moments: simulated seconds, rising; a moment after the end shows the end.

    """
    view = FlightView(world)
    rows: list[Image] = []
    onboard: Image | None = None
    last = Command(0)

    def watch(event: Event, command: Command) -> None:
        nonlocal last, onboard
        last = command
        if isinstance(event, CameraFrame):
            onboard = event.image
        ready = onboard is not None or not view.has_onboard
        if ready and len(rows) < len(moments) and world.time >= moments[len(rows)] * SECOND:
            rows.append(view.compose(f"seed {seed}", onboard, command))

    flight = fly(world, pilot, seed, watch)
    end = view.compose(f"seed {seed}", onboard, last)
    rows += [end] * (len(moments) - len(rows))
    save_png(path, np.concatenate(rows))
    return flight


def save_png(path: Path, image: Image) -> None:
    """Save a uint8 RGB image (H, W, 3) as PNG, whole or not at all."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    write_whole(path, encoded.tobytes())
