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
