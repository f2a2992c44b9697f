"""The classical pilot of the task `gates`: flies at the opening that looks the largest."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.evaluation.classical.colour import DARKNESS, balanced
from liquid_nav.evaluation.classical.rule import Rule
from liquid_nav.onboard import RawCommand

SPEED = 1.7
"""Speed towards a gate, m/s."""

TURN_GAIN = 2.0
"""Yaw rate per bearing, 1/s."""

SEARCH_RATE = 0.7
"""Yaw rate of the search, rad/s."""

FAINTEST = 0.12
"""Smallest score of paint; the pure colour of the gates has 1."""

NEAR = 1.3
"""Width of an opening over its distance from which on the pilot flies straight on, blind."""

LOST = 0.6
"""The same, from which on it takes an opening that it loses for one that has become too near."""

THROUGH = 1.1
"""Time of blind flight times the last width of the opening over its distance, seconds."""

SWEEP = 1.3
"""How far to the left, and then to the right, it looks for the next gate, radians."""

PATIENCE = 1.0
"""Seconds without sight of a gate after which the search begins."""


class GatesRule(Rule):
    """Learns the colour of the gates at the start, and flies through the nearest one in view."""

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._paint: NDArray[np.float32] | None = None
        self._unseen = self._blind = 0.0
        self._bearing = self._slope = self._width = 0.0
        self._side = 1

    def see(self, image: NDArray[np.uint8], rays: NDArray[np.float64], elapsed: float) -> None:
        """Find the opening of the nearest gate, see `Rule.see`."""
        self._unseen += elapsed
        self._blind = max(self._blind - elapsed, 0.0)
        if self._blind > 0:
            return
        box = opening(self._score(image))
        width = 0.0
        if box is not None:
            left, right, top, bottom = box
            width = float(np.linalg.norm(rays[top, right] - rays[top, left]))
        if self._width > NEAR or (self._width > LOST and width < 0.7 * self._width):
            self._blind, self._width = THROUGH / self._width, 0.0
        elif box is not None:
            x, y, z = rays[top : bottom + 1, left : right + 1].reshape(-1, 3).mean(axis=0).tolist()
            self._bearing = self.heading + math.atan2(y, x)
            self._slope = z / math.hypot(x, y)
            self._unseen, self._width = 0.0, width

    def command(self) -> RawCommand:
        """Fly at the opening, or look for the next gate."""
        bearing = self._bearing - self.heading
        if self._unseen > PATIENCE and self._blind == 0:
            if abs(bearing) > SWEEP:
                self._side = 1 if bearing > 0 else -1
            return (0.0, 0.0, 0.0, self._side * SEARCH_RATE)
        speed = SPEED * max(math.cos(bearing), 0.0) ** 2
        slope = self._slope if self._blind == 0 else 0.0
        return (speed, 0.0, speed * slope, TURN_GAIN * bearing)

    def _score(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Score how much each pixel has the hue of the gates, (H, W)."""
        colours = balanced(image)
        chroma = colours - colours.mean(axis=2, keepdims=True)
        chroma /= colours.max(axis=2, keepdims=True) + DARKNESS
        if self._paint is None:
            # In a level view each row of ground or sky has a colour, and the gate another.
            unusual = np.linalg.norm(chroma - np.median(chroma, axis=1, keepdims=True), axis=2)
            paint = chroma[unusual >= 0.7 * unusual.max()].mean(axis=0)
            self._paint = paint / max(float(np.linalg.norm(paint)), 1e-6)
        along = chroma @ self._paint
        across = np.linalg.norm(chroma - along[..., None] * self._paint, axis=2)
        return np.asarray(along - across, np.float32)


def opening(score: NDArray[np.float32]) -> tuple[int, int, int, int] | None:
    """Find the largest region that a frame of high scores encloses.

    Args:
        score: score of each pixel, (H, W).

    Returns:
        Its first and last column, and its first and last row; None if there is none.

    """
    if min(score.shape) < 8:
        return None
    peak = float(np.partition(score.ravel(), -10)[-10])
    paint = (score > max(FAINTEST, 0.5 * peak)).astype(np.uint8)
    # Twice as large, so that a gap of a pixel can be closed without closing the opening.
    large = cv2.resize(paint, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    frame = cv2.morphologyEx(large, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    rows, columns = frame.shape
    _, _, regions, _ = cv2.connectedComponentsWithStats(1 - frame, connectivity=4)
    best = None
    for x, y, width, height, area in regions[1:].tolist():
        inside = x > 0 and y > 0 and x + width < columns and y + height < rows
        if inside and min(width, height) >= 4 and area > (0 if best is None else best[0]):
            best = (area, x // 2, (x + width - 1) // 2, y // 2, (y + height - 1) // 2)
    return None if best is None else best[1:]
