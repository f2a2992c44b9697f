"""Measure one peer's environment; `sim_speed.py` runs this with the Python that has the peer.

    python benchmarks/sim_speed_peer.py pyflyt|gym-pybullet-drones state|image SECONDS

It prints environment steps per second, and needs the peer but nothing of ours. Actions are drawn at
random around hover, and the environment is reset when an episode ends, as in training.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

RATE = 30
"""Control steps per second of simulated time."""
WIDTH, HEIGHT = 64, 48
"""Pixels of an onboard image."""


def gym_pybullet_drones(image: bool) -> tuple[Any, Callable[[], Any]]:
    """Make its hover environment, whose actions are rotor speeds."""
    from gym_pybullet_drones.envs.HoverAviary import HoverAviary
    from gym_pybullet_drones.utils.enums import ObservationType

    kind = ObservationType.RGB if image else ObservationType.KIN
    # It renders at 24 Hz, and needs a control rate at which each step has an image.
    return HoverAviary(obs=kind, ctrl_freq=24 if image else RATE, pyb_freq=240), lambda: None


def pyflyt(image: bool) -> tuple[Any, Callable[[], Any]]:
    """Make its hover environment, whose actions are body rates and thrust.

    It renders its image on demand.
    """
    import gymnasium
    import PyFlyt.gym_envs

    PyFlyt.gym_envs  # noqa: B018  (registers the environments)
    mode = {"render_mode": "rgb_array", "render_resolution": (HEIGHT, WIDTH)} if image else {}
    env = gymnasium.make("PyFlyt/QuadX-Hover-v4", agent_hz=RATE, **mode)
    return env, env.render if image else lambda: None


def rate(env: Any, look: Callable[[], Any], seconds: float) -> float:
    """Measure environment steps per second of wall time, including resets."""
    space, rng = env.action_space, np.random.default_rng(0)
    middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2
    env.reset(seed=0)
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        action = middle + 0.05 * half * rng.uniform(-1, 1, space.shape)
        _, _, terminated, truncated, _ = env.step(action.astype(space.dtype))
        look()
        steps += 1
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - begin)


if __name__ == "__main__":
    peers = {"pyflyt": pyflyt, "gym-pybullet-drones": gym_pybullet_drones}
    name, mode, duration = sys.argv[1:]
    print(rate(*peers[name](mode == "image"), float(duration)))
