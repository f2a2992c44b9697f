"""Draw the pictures of the tasks in docs/simulator.md: `python docs/make_task_images.py`.

There is one picture for each task, with three difficulties from left to right. The upper row shows
the vehicle from outside, the lower row shows its camera; the expert of the task flies.
"""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.video import save_png
from liquid_nav.events import SECOND, yaw_of
from liquid_nav.learning.experts import expert_of
from liquid_nav.learning.experts.base import ExpertPilot
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.world import World

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT = 240, 180
SEEDS = {"target": 5, "forest": 21, "gates": 8, "follow": 7}
MOMENTS = {"target": 1.5, "forest": 3.0, "gates": 1.0, "follow": 6.0}
"""Instants of the pictures, seconds after the start of the flight."""
BACK, UP, AHEAD = 2.2, 1.0, 4.0
"""Position of the outside camera relative to the vehicle, and the point it looks at, metres."""


def main() -> None:
    """Draw all tasks."""
    for name in TASKS:
        columns = [views(name, difficulty) for difficulty in (0.0, 0.5, 1.0)]
        save_png(IMAGES / f"task_{name}.png", np.concatenate(columns, axis=1))


def views(name: str, difficulty: float) -> NDArray[np.uint8]:
    """Draw the outside view above the onboard view, uint8 RGB, shape (2 HEIGHT, WIDTH, 3)."""
    world = World(WorldConfig(task=make_task(name, difficulty)))
    try:
        pilot = ExpertPilot(expert_of(world))
        world.reset(SEEDS[name])
        pilot.reset()
        command = Command(0)
        while (event := world.next_event(round(MOMENTS[name] * SECOND))) is not None:
            pilot.on_event(event)
            command = pilot.command(event.arrival)
            world.command(command)
        state = world.state
        yaw = yaw_of(state.orientation)
        forward = np.array([math.cos(yaw), math.sin(yaw), 0.0])
        eye = state.position - BACK * forward + [0.0, 0.0, UP]
        outside = Camera(
            world.client, CameraModel(2 * WIDTH, 2 * HEIGHT, math.radians(80)), world.scene
        ).render(eye, look_at(eye, state.position + AHEAD * forward))
        model = replace(world.config.sensor("camera").model, width=2 * WIDTH, height=2 * HEIGHT)
        onboard = Camera(world.client, model, world.scene).render(state.position, state.orientation)
    finally:
        world.close()
    rows = [
        cv2.resize(seen.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        for seen in (outside, onboard)
    ]
    picture = np.concatenate(rows).astype(np.uint8)
    picture[:, -2:] = picture[HEIGHT - 1 : HEIGHT + 1] = 255
    return picture


if __name__ == "__main__":
    main()
