"""Measure time and memory to load the shipped policy, natively and with TorchScript.

    python benchmarks/policy_load.py [--rounds 5]

Each measurement is a process of its own, as after a restart in flight. It gives the time from the
start of the process to the first command, and the peak memory.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

import tyro

FLIGHT = """
import importlib.resources
from pathlib import Path
import numpy as np
from liquid_nav.controller import Controller
from liquid_nav.events import CameraFrame, ImuSample
from liquid_nav.onboard import load_policy

path = Path(str(importlib.resources.files("liquid_nav_models") / "target"))
controller = Controller(load_policy(path)[0])
controller.on_event(CameraFrame(0, 0, np.zeros((48, 64, 3), np.uint8)))
controller.on_event(ImuSample(1, 1, np.zeros(3), np.array([0.0, 0.0, 9.8])))
assert controller.command(1).mode == "nominal"
"""


@dataclass(frozen=True)
class Options:
    """Measure time and memory to load the shipped policy."""

    rounds: int = 5
    """Number of processes of each kind, of which the median is printed."""


def measure(native: str) -> tuple[float, float]:
    """Measure the seconds that a process takes and its peak memory in MB (10^6 bytes)."""
    begin = time.perf_counter()
    environment = os.environ | {"LIQUID_NAV_NATIVE": native}
    process = subprocess.Popen([sys.executable, "-c", FLIGHT], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"a measured process ended with exit code {process.returncode}")
    return time.perf_counter() - begin, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Measure both ways and print the figures."""
    options = tyro.cli(Options)
    figures = {}
    for name, native in (("natively", "1"), ("by TorchScript", "0")):
        measure(native)
        seconds, megabytes = zip(*(measure(native) for _ in range(options.rounds)), strict=True)
        figures[name] = median(seconds), median(megabytes)
        print(f"{name}: {figures[name][0]:.2f} s, {figures[name][1]:.0f} MB")
    (fast, small), (slow, large) = figures.values()
    ratios = f"{slow / fast:.1f} times the time and {large / small:.1f} times the memory"
    print(f"TorchScript takes {ratios}")


if __name__ == "__main__":
    main()
