"""Draw the picture of the looks in docs/simulator.md: `python docs/make_look_images.py`.

Each row is a family of appearances, in the order of `FAMILIES`. Its scenes are the first ones of
the task `target`, seen from 8 m.
"""

from pathlib import Path

import cv2
import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.evaluation.video import save_png
from liquid_nav_sim.scenes.appearance import FAMILIES
from liquid_nav_sim.scenes.bodies import add_scene
from liquid_nav_sim.sensors.camera import Camera, look_at
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.tasks.target import sample_target_scene

IMAGES = Path(__file__).parent / "images"
WIDTH, HEIGHT, SCENES, DISTANCE = 96, 72, 8, 8.0


def main() -> None:
    """Draw all families."""
    rows = [np.concatenate([view(name, n) for n in range(SCENES)], axis=1) for name in FAMILIES]
    save_png(IMAGES / "looks.png", np.concatenate(rows))


def view(family: str, seed: int) -> NDArray[np.uint8]:
    """Draw the target of a scene, a little to the side, uint8 RGB, shape (HEIGHT, WIDTH, 3)."""
    scene = sample_target_scene(np.random.default_rng(seed), family)
    assert scene.target is not None
    way = scene.target.position - scene.start_position
    eye = scene.target.position - DISTANCE * way / np.linalg.norm(way)
    aside = np.array([-way[1], way[0], -0.3 * DISTANCE]) / np.linalg.norm(way[:2])
    client = pybullet.connect(pybullet.DIRECT)
    try:
        add_scene(client, scene)
        camera = Camera(client, CameraModel(2 * WIDTH, 2 * HEIGHT), scene)
        seen = camera.render(eye, look_at(eye, scene.target.position + aside)).image
    finally:
        pybullet.disconnect(client)
    small = cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


if __name__ == "__main__":
    main()
