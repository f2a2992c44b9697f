"""Sensors of a flight, made by hand: a vehicle that sways, with the noise of real sensors."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, CameraFrame, Event, ImuSample

MS = SECOND // 1000
GRAVITY = 9.80665

Vector = NDArray[np.float64]
Change = Callable[[Vector, Vector, float], tuple[Vector, Vector]]
"""Changes angular velocity and specific force at a time in seconds."""


def imu_samples(
    seconds: float,
    change: Change | None = None,
    after: float = 0.0,
    noise: float = 1.0,
    start: float = 0.0,
    period: int = 5 * MS,
) -> Iterator[ImuSample]:
    """Yield IMU samples of a vehicle that sways, every `period` ns, changed from `after` s on.

    Noise of 1 is that of a small MEMS sensor in flight, 0 none.
    """
    rng = np.random.default_rng(7)
    for k in range(round(seconds * SECOND / period)):
        t = k * period / SECOND
        rate = np.array([0.4 * np.sin(3 * t), 0.3 * np.sin(2.3 * t + 1), 0.5 * np.sin(0.9 * t)])
        force = np.array([0.3 * np.sin(2 * t), 0.2 * np.sin(1.7 * t), np.sin(4 * t)])
        rate += noise * 0.01 * rng.normal(size=3)
        force += [0, 0, GRAVITY] + noise * 0.05 * rng.normal(size=3)
        if change is not None and t >= after:
            rate, force = change(rate, force, t)
        stamp = round(start * SECOND) + k * period
        yield ImuSample(stamp, stamp, rate, force)


def frame_at(stamp: int) -> CameraFrame:
    """Return a frame of noise."""
    pixels = np.random.default_rng(stamp % 2**32).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return CameraFrame(stamp, stamp, pixels)


def fly(controller: Controller, samples: Iterator[ImuSample]) -> list[tuple[float, str]]:
    """Fly on IMU samples and a frame every 50 ms; give each change of mode with its time in s."""
    changes: list[tuple[float, str]] = []
    for sample in samples:
        events: list[Event] = [sample]
        if sample.stamp % (50 * MS) == 0:
            events.append(frame_at(sample.stamp))
        for event in events:
            controller.on_event(event)
        mode = controller.health.mode.value
        if not changes or changes[-1][1] != mode:
            changes.append((sample.stamp / SECOND, mode))
    return changes
