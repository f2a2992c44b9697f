"""Compare our environment steps per second with gym-pybullet-drones and PyFlyt, in one run.

    python benchmarks/sim_speed.py --peers PYTHON --gym-pybullet-drones CHECKOUT

PyFlyt needs numpy < 2 and so an environment of its own; gym-pybullet-drones runs in it as well:

    python -m venv peers && peers/bin/pip install PyFlyt transforms3d pillow 'setuptools<81'

A peer that is not given is left out. Each round measures all of them in turn on one core, and the
best round of each counts: other work on the machine can only make a round slower.

State environments take 30 actions per second of simulated time. Ours simulates motor lag, drag,
wind and a noisy IMU at 200 Hz; the others have neither wind nor IMU. Image environments give a
64x48 image with each step, gym-pybullet-drones at 24 Hz of simulated time and the others at 30 Hz.
The time of resets is included.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import tyro
from rich.console import Console
from rich.table import Table
from sim_speed_peer import rate

import liquid_nav_sim.gym  # noqa: F401  (registers the environments)

OURS = "liquid_nav"
PEERS = ("gym-pybullet-drones", "pyflyt")
MODES = ("state", "image")


@dataclass
class Options:
    """Measure environment steps per second."""

    peers: Path | None = None
    """Python of an environment with PyFlyt."""
    gym_pybullet_drones: Path | None = None
    """Checkout of gym-pybullet-drones, run with the Python of --peers."""
    seconds: float = 5.0
    """Length of each measurement, seconds."""
    rounds: int = 3
    """Number of measurements of each environment, of which the best counts."""


def ours(mode: str, options: Options) -> float:
    """Measure steps per second of our environment of the task `target`."""
    observation = "state" if mode == "state" else "sensors"
    env = gymnasium.make("liquid_nav/Target-v0", observation=observation)
    try:
        return rate(env, lambda: None, options.seconds)
    finally:
        env.close()


def peer(name: str, mode: str, options: Options) -> float:
    """Measure steps per second of a peer's environment, in a process of its own."""
    environment = dict(os.environ)
    if name == "gym-pybullet-drones":
        environment["PYTHONPATH"] = str(options.gym_pybullet_drones)
    script = Path(__file__).with_name("sim_speed_peer.py")
    printed = subprocess.run(
        [str(options.peers), str(script), name, mode, str(options.seconds)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if printed.returncode:
        sys.exit(f"{name}: {printed.stderr.strip() or printed.stdout.strip()}")
    return float(printed.stdout.split()[-1])


def main() -> None:
    """Measure all environments and print a table."""
    options = tyro.cli(Options)
    names = [OURS]
    if options.peers is not None:
        names += [n for n in PEERS if n == "pyflyt" or options.gym_pybullet_drones is not None]
    best = dict.fromkeys(((name, mode) for mode in MODES for name in names), 0.0)
    for _ in range(options.rounds):
        for name, mode in best:
            measured = ours(mode, options) if name == OURS else peer(name, mode, options)
            best[name, mode] = max(best[name, mode], measured)
    table = Table(title="environment steps/s", box=None)
    for column in ("environment", *MODES, *(f"ours is faster by, {mode}" for mode in MODES)):
        table.add_column(column, justify="left" if column == "environment" else "right")
    for name in names:
        rates = [best[name, mode] for mode in MODES]
        ratios = [best[OURS, mode] / best[name, mode] for mode in MODES]
        table.add_row(name, *(f"{r:.0f}" for r in rates), *(f"{r:.2f}" for r in ratios))
    Console().print(table)


if __name__ == "__main__":
    main()
