"""The camera of a world: its frames, and the truth at the time of each frame."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import CameraFrame, Channel, Event
from liquid_nav.rotations import from_matrix
from liquid_nav_sim.render.pinhole import Render
from liquid_nav_sim.sensors.camera import Camera, CameraParameters
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.sensors.image_sensor import ImageSensor
from liquid_nav_sim.sensors.model import Mount, SensorContext, SensorModel
from liquid_nav_sim.sensors.shutter import Exposure, Shutter, Stage
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.vehicle.state import Motion, VehicleState


@dataclass(frozen=True, eq=False)
class View:
    """The truth at the time of a frame, for experts and labels, never for a controller.

    Attributes:
        state: true state of the vehicle at the frame's stamp.
        target_pixels: number of pixels that show the target; 0 if the scene has none.
        goal: next goal of the task, metres, world ENU, shape (3,).
        depth: metres along the optical axis, infinite for the sky, float32, shape (H, W); None
            unless `CameraModel.depth` is set.
        segmentation: id of the body that each pixel shows, -1 for ground and sky, int32, shape
            (H, W); None unless `CameraModel.segmentation` is set.
    """

    state: VehicleState
    target_pixels: int
    goal: NDArray[np.float64]
    depth: NDArray[np.float32] | None = None
    segmentation: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class CameraModel(CameraParameters, SensorModel):
    """Sensor model of a camera; see `CameraParameters` for its fields."""

    channel: ClassVar[Channel] = Channel.CAMERA
    timing: ClassVar[SensorTiming] = SensorTiming(
        rate=30, jitter=0.002, latency=0.025, latency_jitter=0.01, drop=0.05
    )

    def source(self, context: SensorContext) -> "FrameSource":
        """Build the camera of one flight."""
        camera = Camera(context.client, self, context.scene, context.renderer)
        return FrameSource(
            context.clock(),
            Shutter(camera),
            ImageSensor(self, context.rng),
            context.bodies.target,
            context.stage,
            context.views,
        )

    def mount(self, name: str) -> Mount:
        """Pose of the optical frame: x right, y down, z forward (REP-103)."""
        rotation, eye = self.pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
        x, y, z = eye.tolist()
        return Mount(f"{name}_optical_frame", (x, y, z), from_matrix(rotation))


class FrameSource:
    """Takes frames, see `Source`.

    A lost frame is not rendered. A frame never arrives before its last row has been read, however
    short the latency of the link is.

    Args:
        clock: stamps and arrivals of the frames.
        shutter: exposes the frames.
        sensor: turns their light into grey levels.
        target: body whose pixels the views count, or None.
        stage: moves the scene's moving bodies to a time.
        views: filled with the truth at the stamp of each frame that is not lost.
    """

    def __init__(
        self,
        clock: SensorClock,
        shutter: Shutter,
        sensor: ImageSensor,
        target: int | None,
        stage: Stage,
        views: MutableMapping[Event, View],
    ) -> None:
        self._clock, self._shutter, self._sensor = clock, shutter, sensor
        self._target, self._stage = target, stage
        self._exposures: list[tuple[Exposure, int]] = []
        self._views = views

    def advance(self, motion: Motion) -> Iterator[CameraFrame]:
        """Collect the light of one physics step, and yield the frames that are complete."""
        clock = self._clock
        while clock.stamp - self._shutter.lead <= motion.end:
            if clock.arrival is not None:
                self._exposures.append((self._shutter.open(clock.stamp), clock.arrival))
            clock.advance()
        under_way, self._exposures = self._exposures, []
        for exposure, arrival in under_way:
            light = exposure.advance(motion, self._stage)
            if light is None:
                self._exposures.append((exposure, arrival))
            else:
                yield self._read_out(exposure, light, arrival)
        if under_way:
            self._stage(motion.end)

    def _read_out(self, exposure: Exposure, light: Render, arrival: int) -> CameraFrame:
        assert exposure.truth is not None  # the stamp is within the exposure
        state, goal = exposure.truth
        stamp, segmentation = exposure.stamp, light.segmentation
        pixels = int(np.count_nonzero(segmentation == self._target))
        kept = segmentation if self._shutter.camera.model.segmentation else None
        image = self._sensor.develop(light.image, stamp)
        frame = CameraFrame(stamp, max(arrival, exposure.end), image)
        self._views[frame] = View(state, pixels, goal, light.depth, kept)
        return frame
