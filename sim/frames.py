"""The camera as a sensor: frames, and what was true when they were exposed."""

from dataclasses import dataclass

import numpy as np

from liquid_nav.events import CameraFrame
from liquid_nav_sim.camera import Camera, add_noise
from liquid_nav_sim.state import Motion, VehicleState


@dataclass(frozen=True, eq=False)
class View:
    """What was true when a frame was exposed; for experts and labels, never for a controller.

    Attributes:
        state: the vehicle at that instant.
        target_pixels: pixels of the frame that show the target.
    """

    state: VehicleState
    target_pixels: int


class FrameSensor:
    """Takes frames with a camera, see `Sensor`.

    Args:
        camera: renders.
        rng: source of the noise.
        target: body that the views count the pixels of, or None.

    Attributes:
        views: what was true at the stamp of each frame that was not dropped.
    """

    def __init__(self, camera: Camera, rng: np.random.Generator, target: int | None) -> None:
        self._camera, self._rng, self._target = camera, rng, target
        self.views: dict[int, View] = {}

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> CameraFrame | None:
        """Expose a frame. One that is dropped is not rendered: nobody would see it."""
        if arrival is None:
            return None
        state = motion.at(stamp)
        render = self._camera.render(state.position, state.orientation)
        pixels = int(np.count_nonzero(render.segmentation == self._target))
        self.views[stamp] = View(state, pixels)
        image = add_noise(render.image, self._camera.model.noise_sigma, self._rng)
        return CameraFrame(stamp, arrival, image)
