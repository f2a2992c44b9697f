"""The random streams of a flight: one for each thing that is drawn, all from one seed."""

import numpy as np

STREAMS = (
    "scene",
    "wind",
    "imu",
    "imu_clock",
    "camera",
    "camera_clock",
    "vehicle",
    "dvs",
    "dvs_clock",
    "range_finder",
    "range_finder_clock",
    "odometry",
    "odometry_clock",
    "faults",
    "random_faults",
)
"""Names of the streams, in the order of their seeds: a new one goes to the end.

So nothing that is added, left out or drawn more often changes what the others draw.
"""


def streams(seed: int) -> dict[str, np.random.Generator]:
    """Independent generators of the flight of `seed`, by the names of `STREAMS`."""
    seeds = np.random.SeedSequence(seed).spawn(len(STREAMS))
    return dict(zip(STREAMS, map(np.random.default_rng, seeds), strict=True))


class Normals:
    """Standard normal numbers in rows, drawn in blocks: far cheaper than row by row, and the same.

    Args:
        rng: their source, which nothing else draws from.
        width: numbers in a row.
        most: rows in a block at most; does not change the numbers.
    """

    def __init__(self, rng: np.random.Generator, width: int, most: int = 256) -> None:
        self._rng, self._width, self._most = rng, width, most
        self._rows: list[list[float]] = []
        # Small blocks first: many a flight is short.
        self._size = min(8, most)

    def row(self) -> list[float]:
        """The next `width` numbers."""
        if not self._rows:
            self._rows = self._rng.standard_normal((self._size, self._width)).tolist()
            self._rows.reverse()
            self._size = min(2 * self._size, self._most)
        return self._rows.pop()
