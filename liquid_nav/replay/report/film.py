"""The video of a replay: what the model saw, with the command that it gave."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from liquid_nav.captions import ALERT, BACKGROUND, FAINT, TEXT, Image, mode_caption, write
from liquid_nav.command import Command, Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, CameraFrame, Event
from liquid_nav.mp4 import Mp4Writer

FPS = 10
"""Frames per second of flight."""

WIDTH, CAPTION = 480, 52
"""Pixels: width of the picture, and height of the strip with figures above it."""

MAX_BYTES, MAX_FRAMES = 12 << 20, 60 * 60 * FPS
"""At either of these the video ends, so that the report stays small enough to open and send."""

LONGEST_STILL = 3 * SECOND
"""ns; longer silences are cut to this, as a clock that leaps would make a year of video."""

_FONT_SIZE, _PLATE = 0.45, 4
"""Scale of OpenCV's font, and pixels of dark margin around text on the picture."""

_FULL_SCALE = np.array([3.0, 1.5, 1.2, 1.5])
"""(vx, vy, vz, yaw_rate) at full length of arrow and bars, m/s and rad/s."""


class ReplayFilm:
    """Encodes the video while the replay runs; give `watch` to `liquid_nav.replay.run.replay`.

    A context manager: the video is in a temporary file, which is deleted at the end.

    Attributes:
        clock: pairs (seconds of video, ns of flight) of the same instant: the start, and the end
            of each silence that was cut short.
        ended: ns of flight at which the video ended early, or None.
        skipped: seconds of silences that were cut.
        camera: width and height of the model's camera, or None before the first frame.

    Raises:
        OSError: when the temporary file cannot be written.

    """

    def __init__(self) -> None:
        self.clock: list[tuple[float, int]] = []
        self.ended: int | None = None
        self.skipped = 0.0
        self.camera: tuple[int, int] | None = None
        self._stack = ExitStack()
        self._writer: Mp4Writer | None = None
        self._picture: Image | None = None
        self._start: int | None = None
        self._next = 0

    def __enter__(self) -> "ReplayFilm":
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._path = folder / "flight.mp4"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.discard()
        self._stack.close()

    def watch(self, event: Event, command: Command, controller: Controller) -> None:
        """Draw the frames that are due at an event."""
        if self.ended is not None:
            return
        now = event.arrival
        self._start = now if self._start is None else self._start
        if self._picture is not None:
            self._keep_pace(now)
        if isinstance(event, CameraFrame):
            self._frame, self._seen = event.image, event.stamp
            if self._writer is None:
                self._begin(event)
        if self._writer is None or now < self._next:
            return
        self._picture = self._compose(now, command)
        self._write(now)

    def finish(self) -> bytes | None:
        """End the video and return the MP4 file, or None if no image came."""
        if self._writer is None:
            return None
        self._writer.close()
        return self._path.read_bytes()

    def _begin(self, event: CameraFrame) -> None:
        height, width = event.image.shape[:2]
        self.camera = (width, height)
        # The encoder wants even numbers; a very tall image is squeezed.
        self._height = 2 * round(min(max(WIDTH * height / width, 48), 2 * WIDTH) / 2)
        self._writer = Mp4Writer(self._path, WIDTH, self._height + CAPTION, FPS)
        self._next = event.arrival
        self.clock.append((0.0, event.arrival))

    def _keep_pace(self, now: int) -> None:
        """Repeat the picture through a silence; after a leap of the clock, note the new pair."""
        until = min(now, self._next + LONGEST_STILL)
        while self._next + SECOND // FPS <= until and self.ended is None:
            self._write(self._next)
        away = now - self._next
        if (away > SECOND // FPS or away < -LONGEST_STILL) and self._writer is not None:
            self.skipped += max(away, 0) / SECOND
            self._next = now
            self.clock.append((self._writer.frames / FPS, now))

    def _write(self, now: int) -> None:
        if self._writer is None or self._picture is None:
            return
        self._writer.write(self._picture)
        self._next += SECOND // FPS
        frames = self._writer.frames
        if frames >= MAX_FRAMES or (frames % FPS == 0 and self._writer.size >= MAX_BYTES):
            self.ended = now

    def _compose(self, now: int, command: Command) -> Image:
        canvas = np.full((self._height + CAPTION, WIDTH, 3), BACKGROUND, np.uint8)
        # The caption is on top, as browsers lay the controls over the bottom.
        canvas[CAPTION:] = cv2.resize(
            self._frame, (WIDTH, self._height), interpolation=cv2.INTER_NEAREST
        )
        self._draw_command(canvas[CAPTION:], command)
        seconds, age = (now - (self._start or 0)) / SECOND, (now - self._seen) / SECOND
        times = f"{seconds:.2f} s   image {1e3 * age:.0f} ms old"
        write(canvas, times, (8, 20), FAINT, _FONT_SIZE)
        caption, colour = mode_caption(command)
        write(canvas, caption[:64], (8, 42), colour, _FONT_SIZE)
        return canvas

    def _draw_command(self, picture: Image, command: Command) -> None:
        """Draw the velocity as an arrow seen from above, climb and turn as bars, all as text."""
        vector = np.array(command.vector)
        forward, left, up, turn = np.clip(vector / _FULL_SCALE, -1.0, 1.0).tolist()
        height, width = picture.shape[:2]
        reach = min(44, height // 5)
        x, y = width // 2, height - reach - min(64, height // 4)
        colour = TEXT if command.mode is Mode.NOMINAL else ALERT
        cv2.circle(picture, (x, y), reach, FAINT, 1, cv2.LINE_AA)
        tip = (round(x - reach * left), round(y - reach * forward))
        cv2.arrowedLine(picture, (x, y), tip, colour, 3, cv2.LINE_AA, tipLength=0.25)
        bar = x + reach + 16
        cv2.line(picture, (bar, y - reach), (bar, y + reach), FAINT, 1)
        cv2.line(picture, (bar, y), (bar, round(y - reach * up)), colour, 6)
        row = y + reach + 10
        cv2.line(picture, (x - reach, row), (x + reach, row), FAINT, 1)
        cv2.line(picture, (x, row), (round(x - reach * turn), row), colour, 6)
        labels = ("vx", "vy", "vz", "yaw")
        for index, (label, value) in enumerate(zip(labels, vector.tolist(), strict=True)):
            corner = (8, 20 + 20 * index)
            write(picture, f"{label} {value:+.2f}", corner, colour, _FONT_SIZE, _PLATE)
