"""The camera as a sensor: frames, and what was true when they were exposed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liquid_nav.events import CameraFrame
from liquid_nav_sim.camera import Camera, add_noise
from liquid_nav_sim.state import Motion, VehicleState


@dataclass(frozen=True, eq=False)
class View:
    """What was true when a frame was exposed; for experts and labels, never for a controller.

    Attributes:
        state: the vehicle at that instant.
        target_pixels: pixels of the frame that show the target; 0 where the scene has none.
        goal: where the task led next, metres, world ENU, shape (3,).
    """

    state: VehicleState
    target_pixels: int
    goal: NDArray[np.float64]


class FrameSensor:
    """Takes frames with a camera, see `Sensor`.

    Args:
        camera: renders.
        rng: source of the noise.
        target: body that the views count the pixels of, or None.
        stage: puts what moves in the scene where it is at a time, ns, and gives where the task
            leads next, metres, world ENU, shape (3,).

    Attributes:
        views: what was true at the stamp of each frame that was not dropped.
    """

    def __init__(
        self,
        camera: Camera,
        rng: np.random.Generator,
        target: int | None,
        stage: Callable[[int], NDArray[np.float64]],
    ) -> None:
        self._camera, self._rng, self._target, self._stage = camera, rng, target, stage
        self.views: dict[int, View] = {}

    def measure(self, motion: Motion, stamp: int, arrival: int | None) -> CameraFrame | None:
        """Expose a frame. One that is dropped is not rendered: nobody would see it."""
        if arrival is None:
            return None
        state = motion.at(stamp)
        goal = self._stage(stamp)
        render = self._camera.render(state.position, state.orientation)
        pixels = int(np.count_nonzero(render.segmentation == self._target))
        self.views[stamp] = View(state, pixels, goal)
        self._stage(motion.end)
        image = add_noise(render.image, self._camera.model.noise_sigma, self._rng)
        return CameraFrame(stamp, arrival, image)
