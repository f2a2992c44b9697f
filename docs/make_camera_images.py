"""Draw the pictures of the camera in docs/simulator.md: `python docs/make_camera_images.py`."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.events import SECOND
from liquid_nav_sim.faults.images import black, lens_dirt, noise_burst, wrong_exposure
from liquid_nav_sim.scenes.appearance import sample_appearance
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import Camera
from liquid_nav_sim.sensors.event_camera import EventCameraModel, Pixels
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.image_sensor import ImageSensor
from liquid_nav_sim.sensors.shutter import Shutter
from liquid_nav_sim.vehicle.state import Kinematics, Motion

IMAGES = Path(__file__).parent / "images"
MODEL = CameraModel(width=320, height=240, horizontal_fov=1.5, noise_sigma=0.0)
TURN = 4.0  # rad/s to the left, in the pictures of motion
FAR_DEPTH = 20.0  # metres and more are black in the picture of depth

Image = NDArray[np.uint8]


def scene() -> Scene:
    """Make a scene of poles, boxes and a ball on a chequered ground."""
    rng = np.random.default_rng(5)
    solids = [
        Solid(Shape.CYLINDER, np.array([x, y, 1.5]), (0.35, 3.0), (0.55, 0.36, 0.2))
        for x, y in ((4.0, 1.6), (5.0, -2.4), (8.0, 0.3), (9.0, 4.5), (10.0, -6.0))
    ]
    solids.append(Solid(Shape.SPHERE, np.array([5.0, 0.2, 1.2]), (1.0,), (0.85, 0.15, 0.1)))
    solids.append(
        Solid(Shape.BOX, np.array([6.0, 2.9, 0.6]), (1.2, 1.2, 1.2), (0.2, 0.4, 0.75), 0.5)
    )
    solids.append(
        Solid(Shape.BOX, np.array([6.5, -1.2, 0.5]), (1.0, 1.0, 1.0), (0.9, 0.7, 0.2), 0.3)
    )
    checks = np.kron(np.indices((2, 2)).sum(axis=0) % 2, np.ones((32, 32)))[..., None]
    ground = (np.array([70, 95, 60]) + checks * np.array([75, 70, 60])).astype(np.uint8)
    look = replace(sample_appearance(rng, "train"), ground=ground, ground_scale=3.0)
    return Scene(np.array([0.0, 0.0, 1.6]), 0.0, look, obstacles=tuple(solids))


def state(time: float, turn: float) -> Kinematics:
    """Give the state of a vehicle that turns on the spot, at `time` in seconds and `turn` rad/s."""
    orientation = pybullet.getQuaternionFromEuler((0.0, 0.05, turn * time))
    still = (0.0, 0.0, 0.0)
    return Kinematics((0.0, 0.0, 1.6), orientation, still, still, still)


class Studio:
    """Takes pictures of one scene."""

    def __init__(self) -> None:
        self.client = pybullet.connect(pybullet.DIRECT)
        self.scene = scene()
        add_scene(self.client, self.scene)

    def still(self, model: CameraModel = MODEL) -> Image:
        """Take a picture at rest."""
        return self._camera(model).render(state(0, 0).position, state(0, 0).orientation).image

    def turning(self, model: CameraModel) -> Image:
        """Take a picture in a turn to the left, with the exposure and readout of the model."""
        exposure, step, now = Shutter(self._camera(model)).open(SECOND), SECOND // 1000, 0
        while True:
            before, after = (state((now + d - SECOND) / SECOND, TURN) for d in (0, step))
            light = exposure.advance(Motion(before, after, now, now + step), lambda _: np.zeros(3))
            if light is not None:
                return light.image
            now += step

    def depth(self) -> Image:
        """Draw depth: near is white, far and sky are black."""
        model = replace(MODEL, depth=True)
        seen = self._camera(model).render(state(0, 0).position, state(0, 0).orientation).depth
        assert seen is not None
        grey = 255 * (1 - seen / FAR_DEPTH).clip(0, 1)
        return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)

    def segmentation(self) -> Image:
        """Draw each body in its own colour."""
        seen = (
            self._camera(MODEL).render(state(0, 0).position, state(0, 0).orientation).segmentation
        )
        hues = ((seen.astype(np.int64) * 47) % 180).astype(np.uint8)
        full = np.full_like(hues, 220)
        colours = cv2.cvtColor(np.stack([hues, full, full], axis=2), cv2.COLOR_HSV2RGB)
        colours[seen < 0] = 30
        return np.asarray(colours, dtype=np.uint8)

    def events(self) -> Image:
        """Draw 10 ms of the turn as an event camera sees it: brighter is blue, darker is red."""
        model = EventCameraModel(camera=MODEL, threshold_on=0.15, threshold_off=0.15)
        camera, period = self._camera(MODEL), SECOND // 500
        rng = np.random.default_rng(0)

        def look(tick: int) -> Image:
            pose = state(tick * period / SECOND, TURN / 2)
            return camera.render(pose.position, pose.orientation).image

        pixels = Pixels(model, look(0), 0, rng)
        canvas = np.full((MODEL.height, MODEL.width, 3), 255, np.uint8)
        for tick in range(1, 6):
            x, y, _, polarity = pixels.see(look(tick), tick * period)
            canvas[y, x] = np.where(polarity[:, None], (30, 80, 220), (220, 50, 40))
        return canvas

    def exposures(self) -> tuple[Image, Image, Image]:
        """Show auto-exposure: in the dark, first frame in the light, two time constants later."""
        model = replace(MODEL, auto_exposure=0.3)
        chip, light = ImageSensor(model, np.random.default_rng(0)), self.still()
        dark = wrong_exposure(light, 0.25)
        before = chip.develop(dark, 0)
        first = chip.develop(light, SECOND // 30)
        later = first
        for number in range(2, 20):
            later = chip.develop(light, number * SECOND // 30)
        return before, first, later

    def sensor(self, **changes: float) -> Image:
        """Take a picture at rest with some values of the image sensor changed."""
        model = replace(MODEL, **changes)
        return ImageSensor(model, np.random.default_rng(0)).develop(self.still(), 0)

    def _camera(self, model: CameraModel) -> Camera:
        return Camera(self.client, model, self.scene)


def sheet(path: Path, pictures: dict[str, Image], columns: int) -> None:
    """Write pictures side by side, each with its name above."""
    margin, strip = 6, 24
    height, width, _ = next(iter(pictures.values())).shape
    rows = math.ceil(len(pictures) / columns)
    size = (rows * (height + strip + margin) + margin, columns * (width + margin) + margin, 3)
    canvas = np.full(size, 255, np.uint8)
    for number, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(number, columns)
        top, left = margin + row * (height + strip + margin), margin + column * (width + margin)
        place = (left + 2, top + strip - 8)
        cv2.putText(canvas, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0,) * 3, 1, cv2.LINE_AA)
        canvas[top + strip : top + strip + height, left : left + width] = picture
    cv2.imwrite(str(path), cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))


def main() -> None:
    """Draw both sheets."""
    IMAGES.mkdir(exist_ok=True)
    studio = Studio()
    before, first, later = studio.exposures()
    barrel, pincushion = (-0.3, 0.09, 0.0, 0.0, 0.0), (0.35, 0.1, 0.0, 0.0, 0.0)
    sheet(
        IMAGES / "camera.png",
        {
            "ideal": studio.still(),
            "barrel distortion": studio.still(replace(MODEL, distortion=barrel)),
            "pincushion distortion": studio.still(replace(MODEL, distortion=pincushion)),
            "mounted with 15 deg of roll": studio.still(
                replace(MODEL, mount_roll=math.radians(15))
            ),
            "30 ms of exposure in a turn": studio.turning(
                replace(MODEL, exposure=0.03, exposure_samples=24)
            ),
            "30 ms of readout in a turn": studio.turning(
                replace(MODEL, readout=0.03, row_groups=60)
            ),
            "vignetting": studio.sensor(vignetting=1.0),
            "read and shot noise": studio.sensor(noise_sigma=6.0, shot_noise=1.0),
            "depth": studio.depth(),
            "auto-exposure in the dark": before,
            "the first frame in the light": first,
            "two time constants later": later,
            "segmentation": studio.segmentation(),
            "event camera in a turn, 10 ms": studio.events(),
        },
        3,
    )
    light = studio.still()
    faults: dict[str, Callable[[Image], Image]] = {
        "lens dirt, 20 %": lambda image: lens_dirt(image, 0.2, 3),
        "over-exposed, gain 3": lambda image: wrong_exposure(image, 3.0),
        "under-exposed, gain 0.2": lambda image: wrong_exposure(image, 0.2),
        "noise burst, 40 grey levels": lambda image: noise_burst(image, 40.0, 0),
        "black frame": black,
    }
    spoilt = {name: fault(light) for name, fault in faults.items()}
    sheet(IMAGES / "camera_faults.png", {"healthy": light, **spoilt}, 3)
    pybullet.disconnect(studio.client)


if __name__ == "__main__":
    main()
