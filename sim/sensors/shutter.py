"""The shutter: the times at which each row of a frame collects light, while things move."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav_sim.render.lens import windows
from liquid_nav_sim.render.pinhole import Render
from liquid_nav_sim.sensors.camera import Camera
from liquid_nav_sim.vehicle.state import Motion, VehicleState

Stage = Callable[[int], NDArray[np.float64]]
"""Moves the scene's moving bodies to a time, ns, and returns the next goal of the task then, in
metres, world ENU, shape (3,)."""


class Shutter:
    """Exposes frames while the vehicle and the scene move.

    The stamp of a frame is the middle of the exposure of its first row. Each group of rows is drawn
    at `exposure_samples` instants spread evenly over the exposure of the row in its middle, and
    averaged. Without exposure and readout there is one instant, the stamp.

    Args:
        camera: camera that renders the rows.

    Attributes:
        camera: camera that renders the rows.
        windows: the groups of rows.
        samples: number of instants of each group.
        middle: index of the instant whose segmentation and depth are kept.
        schedule: all instants in order of time: ns after the stamp, index of the group, index of
            the instant in its group.
        lead, lag: time from the first light to the stamp and from the stamp to the last light, ns.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera, model = camera, camera.model
        groups = min(model.row_groups, model.height) if model.readout else 1
        samples = model.exposure_samples if model.exposure else 1
        self.windows = windows(model.pinhole, model.distortion, groups)
        self.samples, self.middle = samples, samples // 2
        shares = (np.arange(samples) + 0.5) / samples - 0.5
        rows = np.array([(window.first + window.end - 1) / 2 for window in self.windows])
        delays = model.readout * rows / model.height
        offsets = np.rint(SECOND * (delays[:, None] + model.exposure * shares)).astype(np.int64)
        self.schedule: list[tuple[int, int, int]] = sorted(
            (offset, group, sample)
            for group, row in enumerate(offsets.tolist())
            for sample, offset in enumerate(row)
        )
        self.lead = round(SECOND * model.exposure / 2)
        self.lag = self.lead + round(SECOND * model.readout)

    def open(self, stamp: int) -> "Exposure":
        """Begin a frame."""
        return Exposure(self, stamp)


class Exposure:
    """One frame while it is exposed.

    Args:
        shutter: shutter that exposes it.
        stamp: stamp of the frame, ns.

    Attributes:
        stamp: stamp of the frame, ns.
        end: time of its last light, ns.
        truth: true state of the vehicle and next goal of the task at the stamp; None before it.
    """

    def __init__(self, shutter: Shutter, stamp: int) -> None:
        self.stamp, self.end = stamp, stamp + shutter.lag
        self.truth: tuple[VehicleState, NDArray[np.float64]] | None = None
        self._shutter = shutter
        self._next = 0
        self._light: list[NDArray[np.float32] | None] = [None] * len(shutter.windows)
        self._strips: list[Render | None] = [None] * len(shutter.windows)

    def advance(self, motion: Motion, stage: Stage) -> Render | None:
        """Collect the light of one physics step.

        Call this for every step from `Shutter.lead` before the stamp on. Instants before the flight
        are rendered as they are at its start.

        Args:
            motion: motion of the vehicle over the step.
            stage: moves the scene's moving bodies to a time; they stay there.

        Returns:
            The frame once it is complete, else None.
        """
        if self.truth is None and self.stamp <= motion.end:
            self.truth = motion.at(self.stamp), stage(self.stamp)
        shutter = self._shutter
        for offset, group, sample in shutter.schedule[self._next :]:
            time = max(self.stamp + offset, motion.start)
            if time > motion.end:
                break
            self._next += 1
            state = motion.at(time)
            stage(time)
            render = shutter.camera.look(shutter.windows[group], state.position, state.orientation)
            if sample == shutter.middle:
                self._strips[group] = render
            if shutter.samples > 1:
                light = self._light[group]
                self._light[group] = (
                    render.image.astype(np.float32) if light is None else light + render.image
                )
        return self._finish() if self.end <= motion.end else None

    def _finish(self) -> Render:
        strips = []
        for strip, light in zip(self._strips, self._light, strict=True):
            assert strip is not None
            if light is not None:
                mean = np.rint(light / np.float32(self._shutter.samples)).astype(np.uint8)
                strip = replace(strip, image=mean)
            strips.append(strip)
        if len(strips) == 1:
            return strips[0]
        depths = [strip.depth for strip in strips if strip.depth is not None]
        return Render(
            np.concatenate([strip.image for strip in strips]),
            np.concatenate([strip.segmentation for strip in strips]),
            np.concatenate(depths) if depths else None,
        )
