"""The random streams of a flight: one for each thing that is drawn, all from one seed."""

import hashlib

import numpy as np

FIRST_STREAMS = (
    "scene",
    "wind",
    "imu",
    "imu_clock",
    "camera",
    "camera_clock",
    "vehicle",
    "event_camera",
    "event_camera_clock",
    "range_finder",
    "range_finder_clock",
    "odometry",
    "odometry_clock",
    "faults",
    "random_faults",
)
"""Streams whose seeds are their places in this list, as in the first flights ever flown."""


class Streams:
    """Independent random generators by name, all from the seed of one flight.

    What a stream draws depends on the seed and on its name alone. Nothing that is added, left out
    or drawn more often changes what the others draw.

    Args:
        seed: seed of the flight, a whole number >= 0.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def __getitem__(self, name: str) -> np.random.Generator:
        """Give the generator of a name: the same object each time."""
        if name not in self._generators:
            child = np.random.SeedSequence(self._seed, spawn_key=(_key(name),))
            self._generators[name] = np.random.default_rng(child)
        return self._generators[name]


def _key(name: str) -> int:
    """Number of a stream among the children of the seed, the same in every process."""
    if name in FIRST_STREAMS:
        return FIRST_STREAMS.index(name)
    # 128 bits never meet the small numbers of the first streams, nor each other.
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "little")
