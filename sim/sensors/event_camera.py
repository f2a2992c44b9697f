"""An event camera: each pixel reports when its light has changed by a given ratio.

The model of ESIM (Rebecq et al. 2018, "ESIM: an Open Event Camera Simulator"): between two renders
the logarithm of each pixel's light is interpolated linearly, and every crossing of the next level,
a contrast threshold away from the last, is an event.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.errors import EventError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.sensors.camera import Camera, CameraParameters
from liquid_nav_sim.sensors.model import SensorContext, SensorModel
from liquid_nav_sim.sensors.shutter import Stage
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.airframe import VehicleParameters
from liquid_nav_sim.vehicle.state import Motion

DARK_LEVEL = 4.0
"""Smallest light that a pixel sees, grey levels; its dark current hides anything below."""

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of R, G and B (ITU-R BT.601); the pixels see no colour."""


@dataclass(frozen=True)
class EventCameraModel(SensorModel):
    """An event camera.

    Attributes:
        camera: resolution, lens and mount. Its noise and its shutter have no effect, because each
            pixel works on its own and all the time.
        threshold_on, threshold_off: rise and fall of the logarithm of the light that cause an
            event.
        mismatch: standard deviation of the thresholds between pixels, constant during a flight.
        refractory: time after an event in which its pixel is silent, seconds; further crossings
            in that time are lost.

    Raises:
        SimulationError: on a field out of its range.
    """

    channel: ClassVar[Channel] = Channel.DVS
    timing: ClassVar[SensorTiming] = SensorTiming(rate=250, latency=0.001)

    camera: CameraParameters = field(default_factory=CameraParameters)
    threshold_on: float = 0.2
    threshold_off: float = 0.2
    mismatch: float = 0.0
    refractory: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("threshold_on", 0.01, 10.0),
            ("threshold_off", 0.01, 10.0),
            ("mismatch", 0.0, 1.0),
            ("refractory", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"EventCameraModel.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )

    @classmethod
    def for_vehicle(cls, vehicle: VehicleParameters) -> "EventCameraModel":
        """Make an event camera at the front of a vehicle."""
        return cls(CameraParameters.for_vehicle(vehicle))

    def sensor(self, context: SensorContext) -> "EventCamera":
        """Build the event camera of one flight."""
        camera = Camera(context.client, self.camera, context.scene, context.renderer)
        return EventCamera(camera, self, context.rng, context.stage)


@dataclass(frozen=True, eq=False)
class PixelEvents(Event):
    """The pixel events of an event camera since its last packet.

    Arrays of one length N, contiguous and read-only, in the order of `t`. No `t` is later than
    `stamp`.

    Attributes:
        x, y: column and row of each pixel, uint16, shape (N,).
        t: time at which its light crossed the threshold, ns, int64, shape (N,).
        polarity: True if it became brighter, bool, shape (N,).

    Raises:
        EventError: on arrays of other shapes, or times that decrease or are after the stamp.
    """

    channel: ClassVar[Channel] = Channel.DVS

    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    t: NDArray[np.int64]
    polarity: NDArray[np.bool_]

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"x": np.uint16, "y": np.uint16, "t": np.int64, "polarity": np.bool_}
        for name, kind in kinds.items():
            value: NDArray[Any] = np.array(getattr(self, name), dtype=kind)
            if value.ndim != 1 or len(value) != len(self.x):
                raise EventError(f"PixelEvents.{name} must have shape (N,), got {value.shape}")
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        if len(self.t) and not (np.all(np.diff(self.t) >= 0) and self.t[-1] <= self.stamp):
            raise EventError("PixelEvents.t must not decrease, nor go beyond the stamp")


class Pixels:
    """The pixels of an event camera, which turn images into events.

    Args:
        model: thresholds and refractory period.
        light: the first image, uint8 RGB, shape (H, W, 3).
        time: time of that image, ns.
        rng: random stream of the mismatch.
    """

    def __init__(
        self,
        model: EventCameraModel,
        light: NDArray[np.uint8],
        time: int,
        rng: np.random.Generator,
    ) -> None:
        shape = light.shape[:2]
        mismatch = model.mismatch * rng.standard_normal((2, *shape))
        self._on = np.maximum(model.threshold_on + mismatch[0], 0.01)
        self._off = np.maximum(model.threshold_off + mismatch[1], 0.01)
        self._refractory = round(model.refractory * SECOND)
        self._light = _logarithm(light)
        # The level of the last event of each pixel, or its first level.
        self._level = self._light.copy()
        self._time = time
        self._last = np.full(shape, -(2**62), dtype=np.int64)

    def see(
        self, light: NDArray[np.uint8], time: int
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int64], NDArray[np.bool_]]:
        """Change the light to that of a later image.

        Args:
            light: uint8 RGB, shape (H, W, 3).
            time: time of the image, ns, later than that of the previous image.

        Returns:
            x, y, t and polarity of the events between the two images, ordered by t, then by row and
            column. All t are after the previous image and not after `time`.
        """
        before, after = self._light, _logarithm(light)
        change = after - self._level
        polarity = change > 0
        threshold = np.where(polarity, self._on, self._off)
        # Light that stops exactly on a level has reached it, in spite of rounding.
        counts = np.floor(abs(change) / threshold + 1e-9).astype(np.int64)
        rows, columns = np.nonzero(counts)
        found: list[tuple[NDArray[np.int64], ...]] = []
        start, elapsed = self._time, time - self._time
        count, up = counts[rows, columns], polarity[rows, columns]
        step = np.where(up, 1, -1) * threshold[rows, columns]
        level, last = self._level[rows, columns], self._last[rows, columns]
        begin = before[rows, columns]
        slope = after[rows, columns] - begin
        for number in range(1, int(counts.max()) + 1):
            share = (level + number * step - begin) / slope
            times = start + np.ceil(share * elapsed).clip(1, elapsed).astype(np.int64)
            reported = (number <= count) & (times - last >= self._refractory)
            last = np.where(reported, times, last)
            where = np.nonzero(reported)[0]
            found.append((times[where], rows[where], columns[where], up[where].astype(np.int64)))
        self._level[rows, columns] = level + count * step
        self._last[rows, columns] = last
        self._light, self._time = after, time
        if not found:
            found = [(np.zeros(0, dtype=np.int64),) * 4]
        t, y, x, p = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((x, y, t))
        return (
            x[order].astype(np.uint16),
            y[order].astype(np.uint16),
            t[order],
            p[order].astype(np.bool_),
        )


class EventCamera:
    """An event camera on a vehicle, see `Sensor`.

    At each tick of its clock it renders the scene, and sends the events since the last tick, if
    there are any. The rate of the clock therefore limits which changes it resolves: in one period
    an edge should not move by much more than a pixel.

    Args:
        camera: renders the view of the model's camera.
        model: the pixels.
        rng: random stream of the mismatch.
        stage: moves the scene's moving bodies to a time.
    """

    def __init__(
        self, camera: Camera, model: EventCameraModel, rng: np.random.Generator, stage: Stage
    ) -> None:
        self._camera, self._model, self._rng, self._stage = camera, model, rng, stage
        self._pixels: Pixels | None = None

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> PixelEvents | None:
        """Report what has changed by `stamp`, ns; a lost packet loses its events."""
        state = motion.at(stamp)
        self._stage(stamp)
        light = self._camera.render(state.position, state.orientation).image
        self._stage(motion.end)
        if self._pixels is None:
            self._pixels = Pixels(self._model, light, stamp, self._rng)
            return None
        x, y, t, polarity = self._pixels.see(light, stamp)
        if arrival is None or not len(t):
            return None
        return PixelEvents(stamp, arrival, x, y, t, polarity)


def _logarithm(light: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey = np.asarray(light @ LUMINANCE, dtype=np.float64)
    return np.asarray(np.log(np.maximum(grey, DARK_LEVEL)))
