"""An event camera: each pixel tells, with the time, that its light has changed by a set ratio.

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
"""Grey levels below which light drowns in the pixel's dark current: it is taken for this much."""

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of R, G and B (ITU-R BT.601): the pixels see no colour."""


@dataclass(frozen=True)
class EventCameraModel(SensorModel):
    """An event camera.

    Attributes:
        camera: resolution, lens and mount; its sensor's fields and its shutter do not matter, for
            each pixel works on its own and all the time.
        threshold_on, threshold_off: rise and fall of the logarithm of the light that make an event.
        mismatch: standard deviation of the thresholds from pixel to pixel, fixed for a flight.
        refractory: seconds after an event in which its pixel is silent; crossings then are lost.

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
        """An event camera at the front of a vehicle."""
        return cls(CameraParameters.for_vehicle(vehicle))

    def sensor(self, context: SensorContext) -> "EventCamera":
        """An event camera that has seen nothing yet."""
        camera = Camera(context.client, self.camera, context.scene, context.renderer)
        return EventCamera(camera, self, context.rng, context.stage)


@dataclass(frozen=True, eq=False)
class PixelEvents(Event):
    """What an event camera has to say since its last word.

    Arrays of one length N, contiguous and read-only, in the order of `t`; the `stamp` is not before
    any of them.

    Attributes:
        x, y: column and row of the pixel, uint16, shape (N,).
        t: when its light crossed the threshold, ns, int64, shape (N,).
        polarity: True for brighter, shape (N,).

    Raises:
        EventError: on arrays of other shapes, or times that go back or are after the stamp.
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
            raise EventError("PixelEvents.t must not go back, nor beyond the stamp")


class Pixels:
    """The pixels of an event camera: light in, events out.

    Args:
        model: thresholds and refractory period.
        light: the first image, uint8 RGB, shape (H, W, 3).
        time: of that image, ns.
        rng: source of the mismatch.
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
        # The level at which each pixel last made an event, or began.
        self._level = self._light.copy()
        self._time = time
        self._last = np.full(shape, -(2**62), dtype=np.int64)

    def see(
        self, light: NDArray[np.uint8], time: int
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int64], NDArray[np.bool_]]:
        """Let the light change to that of a later image.

        Args:
            light: uint8 RGB, shape (H, W, 3).
            time: of the image, ns, later than that of the one before.

        Returns:
            x, y, t, polarity of the events since then, in the order of their times, which are after
            that of the last image and not after `time`; those of one time go by rows.
        """
        before, after = self._light, _logarithm(light)
        change = after - self._level
        polarity = change > 0
        threshold = np.where(polarity, self._on, self._off)
        # Light that comes to rest on a level has reached it, whatever its last bit says.
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
            heard = (number <= count) & (times - last >= self._refractory)
            last = np.where(heard, times, last)
            where = np.nonzero(heard)[0]
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

    At each tick of its clock it looks at the scene, and sends what has happened since the tick
    before, or nothing where nothing has. The clock's rate therefore bounds how fast a change may be
    and still be seen as it is: in one period an edge should not move by more than a pixel or so.

    Args:
        camera: renders, with the model's camera.
        model: its pixels.
        rng: source of the mismatch.
        stage: puts what moves in the scene in its place.
    """

    def __init__(
        self, camera: Camera, model: EventCameraModel, rng: np.random.Generator, stage: Stage
    ) -> None:
        self._camera, self._model, self._rng, self._stage = camera, model, rng, stage
        self._pixels: Pixels | None = None

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> PixelEvents | None:
        """See what has changed until `stamp`; a packet that is dropped takes its events along."""
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
