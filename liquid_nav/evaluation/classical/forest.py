"""The classical pilot of the task `forest`: flies to the widest gap near its first heading."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.evaluation.classical.rule import Rule
from liquid_nav.onboard import RawCommand

HEIGHT = 1.5
"""Height above the ground that it takes itself to have, metres."""

ABOVE = 6
"""Rows above the horizon that show what stands in a column."""

LIKENESS, NOISE_MARGIN = 0.035, 5.0
"""How far a pixel may differ from a trunk: share of the mean brightness, and multiple of the
noise."""

FARTHEST = 8.0
"""Distance beyond which it ignores trunks, metres."""

MEMORY = 2.5
"""Seconds for which it remembers where it saw a trunk."""

BERTH = 0.55
"""Distance from its centre at which a trunk should pass, metres."""

COURSES = np.radians(np.arange(-60, 61, 3))
"""Directions from which it chooses, relative to the heading, radians."""

RETURN = 15.0
"""Distance over which it returns to the line along its first heading, metres."""

FASTEST, SLOWEST = 1.8, 0.5
"""Speeds in the open and in front of a trunk, m/s."""


class ForestRule(Rule):
    """Keeps a map of trunks by dead reckoning, and flies where it is free.

    A trunk looks the same above and below the horizon, and the row where it ends on the ground
    gives its distance. The map is in the frame of the start: x along the first heading, y left.
    """

    needs_colour = False

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._place = np.zeros(2)
        self._trunks = np.zeros((0, 2))
        self._ages = np.zeros(0)
        self._course, self._speed = 0.0, 0.0

    def see(self, image: NDArray[np.uint8], rays: NDArray[np.float64], elapsed: float) -> None:
        """Put the trunks in view on the map, and choose a course, see `Rule.see`."""
        way = self._course
        self._place += elapsed * self._speed * np.array([math.cos(way), math.sin(way)])
        self._ages += elapsed
        left, distance = trunks(image, rays)
        angle = self.heading + np.arctan(left)
        near = distance[:, None] * np.stack((np.cos(angle), np.sin(angle)), axis=1)
        kept = self._ages < MEMORY
        self._trunks = np.vstack((self._trunks[kept], self._place + near))
        self._ages = np.append(self._ages[kept], np.zeros(len(near)))
        self._choose()

    def command(self) -> RawCommand:
        """Fly along the course, and turn the nose towards it."""
        drift = self._course - self.heading
        vx, vy = self._speed * math.cos(drift), self._speed * math.sin(drift)
        ahead = -math.atan2(self._place[1], RETURN)
        turn = math.remainder(0.5 * (self._course + ahead) - self.heading, math.tau)
        return (vx, vy, 0.0, 1.5 * turn)

    def _choose(self) -> None:
        """Choose the course that leads far without a trunk, and not far from the way ahead."""
        offset = self._trunks - self._place
        courses = self.heading + COURSES
        ahead = np.cos(courses)[:, None] * offset[:, 0] + np.sin(courses)[:, None] * offset[:, 1]
        aside = np.cos(courses)[:, None] * offset[:, 1] - np.sin(courses)[:, None] * offset[:, 0]
        blocking = (np.abs(aside) < BERTH) & (ahead > 0)
        free = np.where(blocking, ahead, FARTHEST).min(axis=1, initial=FARTHEST)
        goal = -math.atan2(self._place[1], RETURN)
        turned, changed = np.abs(courses - goal), np.abs(courses - self._course)
        best = int(np.argmax(free - 3.0 * turned - 1.0 * changed))
        self._course = float(courses[best])
        self._speed = min(max(0.5 * float(free[best]), SLOWEST), FASTEST)


def trunks(
    image: NDArray[np.uint8], rays: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find what stands on the ground, and how far away, in each column of a level view.

    Args:
        image: uint8 RGB, (H, W, 3).
        rays: direction of each pixel, (H, W, 3), see `Rule.see`.

    Returns:
        For each column that shows a trunk nearer than `FARTHEST`: how far left it is at a distance
        of 1 m ahead, and the distance along its bearing, metres.

    """
    height, width = image.shape[:2]
    none = np.zeros(0), np.zeros(0)
    corners = rays[[0, 0, -1, -1], [0, -1, -1, 0]]
    if min(height, width) < 4 * ABOVE or corners[:, 0].min() < 0.1:
        return none
    # On the plane at distance 1 ahead verticals are upright, and the horizon is in the middle row.
    pixel = float(np.linalg.norm(rays[0, -1] - rays[0, 0])) / (width - 1)
    plane = corners[:, 1:] / corners[:, :1]
    middle = (height - 1) / 2
    places = np.stack(((width - 1) / 2, middle) - plane / pixel).astype(np.float32)
    own = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], np.float32)
    level = cv2.warpPerspective(
        image,
        cv2.getPerspectiveTransform(own, places),
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    horizon = math.ceil(middle)
    noise = float(np.median(np.abs(np.diff(level, axis=0))))
    trunk = np.median(level[horizon - ABOVE : horizon], axis=0)
    unlike = np.abs(level[horizon + 1 :] - trunk).max(axis=2)
    differs = unlike > max(LIKENESS * float(level.mean()), NOISE_MARGIN * noise)
    # One pixel in a column may be wrong.
    rows = np.maximum(np.count_nonzero(np.cumsum(differs, axis=0) <= 1, axis=0) - 1, 0)
    left = pixel * ((width - 1) / 2 - np.arange(width))
    with np.errstate(divide="ignore"):
        distance = HEIGHT / (pixel * rows) * np.hypot(1.0, left)
    shown = distance < FARTHEST
    return left[shown], distance[shown]
