"""Measure the time of one camera frame, by objects, resolution, shadow and effects of the camera.

Figures are CPU time on one thread, the fastest of many calls. The scene is a forest: solids of each
shape all around the camera, a quarter of them in view. Run it with

    python benchmarks/camera_speed.py [--seconds 0.5]
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pybullet
import tyro
from rich.console import Console
from rich.table import Table

from liquid_nav_sim.render.pinhole import Renderer
from liquid_nav_sim.scenes.appearance import sample_appearance
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.scenes.scene import Scene, Shape, Solid
from liquid_nav_sim.sensors.camera import RENDERERS, Camera
from liquid_nav_sim.sensors.event_camera import EventCameraModel, Pixels
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.sensors.image_sensor import ImageSensor
from liquid_nav_sim.sensors.shutter import Shutter
from liquid_nav_sim.vehicle.state import Kinematics, Motion

OBJECTS = 10
EYE = (0.0, 0.0, 1.5)
ATTITUDE = (0.05, 0.0, 0.0, 0.99875)
SIZES = ((64, 48), (96, 72), (128, 96), (320, 240), (640, 480))


@dataclass(frozen=True)
class Options:
    """Measure the time of camera frames."""

    seconds: float = 0.5
    """Seconds for which each frame is drawn again and again; the fastest one counts."""


def forest(count: int) -> Scene:
    """Make a scene of `count` solids 3 to 25 m away."""
    rng = np.random.default_rng(1)
    solids = []
    for number in range(count):
        bearing, distance = rng.uniform(-math.pi, math.pi), rng.uniform(3, 25)
        centre = np.array([distance * math.cos(bearing), distance * math.sin(bearing), 1.5])
        shape = tuple(Shape)[number % 3]
        size = {Shape.SPHERE: (0.8,), Shape.BOX: (0.6, 0.6, 3.0), Shape.CYLINDER: (0.4, 3.0)}[shape]
        colour = tuple(rng.uniform(0.2, 0.9, 3).tolist())
        solids.append(Solid(shape, centre, size, colour))
    look = sample_appearance(np.random.default_rng(0), "train")
    return Scene(np.array(EYE), 0.0, look, obstacles=tuple(solids))


def milliseconds(call: Callable[[], object], seconds: float) -> float:
    """Measure the CPU time of the fastest of many calls: the time when nothing else runs."""
    call()
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return 1000 * min(times)


def frame(camera: Camera) -> Callable[[], object]:
    """Give a function that exposes and reads out one frame of a camera at rest."""
    shutter, still, nowhere = Shutter(camera), (0.0, 0.0, 0.0), np.zeros(3)
    chip = ImageSensor(camera.model, np.random.default_rng(0))
    state = Kinematics(EYE, ATTITUDE, still, still, still)
    step = Motion(state, state, 0, 10**10)
    stamp = 10**9

    def take() -> None:
        light = shutter.open(stamp).advance(step, lambda _: nowhere)
        assert light is not None
        chip.develop(light.image, stamp)

    return take


def main() -> None:
    """Measure all frames and print a table."""
    options = tyro.cli(Options)
    table = Table(title="one frame")
    for column in ("camera", "pixels", "objects", "ms"):
        table.add_column(column, justify="left" if column == "camera" else "right")

    def row(name: str, model: CameraModel, objects: int, call: Callable[[], object]) -> None:
        size = f"{model.width}x{model.height}"
        figure = milliseconds(call, options.seconds)
        table.add_row(name, size, str(objects), f"{figure:.2f}")

    def scene(count: int) -> tuple[int, Scene]:
        pybullet.resetSimulation(physicsClientId=client)
        drawn = forest(count)
        add_scene(client, drawn)
        return client, drawn

    client = pybullet.connect(pybullet.DIRECT)
    small = CameraModel()
    for count in (0, 10, 30, 100):
        where, what = scene(count)
        for renderer in RENDERERS:
            row(renderer, small, count, frame(Camera(where, small, what, renderer)))
    where, what = scene(OBJECTS)
    for width, height in SIZES[1:]:
        model = replace(small, width=width, height=height)
        for renderer in RENDERERS:
            row(renderer, model, OBJECTS, frame(Camera(where, model, what, renderer)))
    for name, shadow in (("bullet without read-out", False), ("the same with shadow", True)):
        renderer, pose = Renderer(where, what, shadow), small.pose(EYE, ATTITUDE)
        row(name, small, OBJECTS, partial(renderer.draw, small.pinhole, *pose))
    for name, changes in (
        ("depth", {"depth": True}),
        ("distortion", {"distortion": (-0.28, 0.074, 0.0, 0.0, 0.0)}),
        ("vignetting, auto-exposure, shot noise", {"vignetting": 1.0, "auto_exposure": 0.3}),
        ("exposure in 8 instants", {"exposure": 0.01}),
        ("readout in 8 groups", {"readout": 0.02}),
        ("exposure and readout", {"exposure": 0.01, "readout": 0.02}),
    ):
        extra = {"shot_noise": 0.1} if "shot" in name else {}
        model = replace(small, **changes, **extra)
        row(f"bullet, {name}", model, OBJECTS, frame(Camera(where, model, what)))
    camera = Camera(where, small, what)
    light = camera.render(EYE, ATTITUDE).image
    chip = Pixels(EventCameraModel(camera=small), light, 0, np.random.default_rng(0))
    dim, times = light // 2, iter(range(1, 10**9))
    row(
        "event camera, all pixels twice, without render",
        small,
        OBJECTS,
        lambda: (chip.see(dim, next(times)), chip.see(light, next(times))),
    )
    Console().print(table)
    print(f"load average of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
