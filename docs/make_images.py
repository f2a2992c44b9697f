"""Draw the pictures of flights in README and docs, flown by the shipped policy.

Run it with `python docs/make_images.py`.
"""

from pathlib import Path

import torch

from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly
from liquid_nav.evaluation.plots import plot_flights
from liquid_nav.evaluation.video import save_picture
from liquid_nav.onboard import load_policy
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World

ROOT = Path(__file__).parents[1]
SEED = 100_000


def main() -> None:
    """Fly and draw."""
    torch.set_num_threads(1)
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    controller = Controller(load_policy(ROOT / "models" / "target")[0])
    world = World()
    try:
        save_picture(images / "flight.png", world, controller, SEED, (1.5, 3.5))
        flights = [fly(world, controller, seed) for seed in range(SEED, SEED + 12)]
    finally:
        world.close()
    plot_flights(flights, images / "flights.png", TargetTask().success_radius)


if __name__ == "__main__":
    main()
