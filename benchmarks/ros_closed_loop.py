"""Compare flights of the shipped policy over ROS 2 with the same flights in one process.

The simulator node and the controller node fly in two processes over DDS, in lock-step on simulated
time; then `liquid_nav.evaluation.flight.fly` flies the same seeds in one process. Two flights are
identical when they end at the same position to the last bit.

    python benchmarks/ros_closed_loop.py                   # 20 seeds
    python benchmarks/ros_closed_loop.py --minimum-rate 1  # the controller's timer, Hz

The controller's timer causes the differences. Its command can carry the time of a measurement that
the controller has not processed yet, and the simulator cannot tell it from the answer to that
measurement. It counts these cases when the real answer comes: overtaken measurements.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liquid_nav.controller import Controller
from liquid_nav.evaluation.flight import fly
from liquid_nav.evaluation.statistics import wilson
from liquid_nav.onboard import load_policy
from liquid_nav_sim.world import World

PROFILES = Path(__file__).parents[1] / "config" / "fastdds.xml"
MODEL = Path(__file__).parents[1] / "models" / "target"


@dataclass(frozen=True)
class End:
    """How one flight ended.

    Attributes:
        outcome: success, collision or timeout.
        duration: simulated seconds.
        position: metres, world ENU.
        overtaken: number of overtaken measurements.
    """

    outcome: str
    duration: float
    position: tuple[float, ...]
    overtaken: int = field(default=0, compare=False)


def node(name: str, **parameters: object) -> subprocess.Popen[bytes]:
    """Start one of our nodes in a process of its own."""
    options = [f"{key}:={str(value).lower()}" for key, value in parameters.items()]
    arguments = [word for option in options for word in ("-p", option)]
    script = f"from liquid_nav.ros.executables import {name}; {name}()"
    return subprocess.Popen(
        [sys.executable, "-c", script, "--ros-args", "--log-level", "warn", *arguments]
    )


def over_ros(seed: int, episodes: int, minimum_rate: float, odometry: bool) -> dict[int, End]:
    """Fly over ROS 2 in two processes; give how each flight ended, by seed."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticStatus
    from rclpy.qos import DurabilityPolicy, QoSProfile

    rclpy.init()
    listener, ends = rclpy.create_node("listener"), {}

    def on_outcome(status: Any) -> None:
        figures = {pair.key: pair.value for pair in status.values}
        position = tuple(map(float, figures["position"].split()))
        ends[int(figures["seed"])] = End(
            figures["outcome"],
            float(figures["duration"]),
            position,
            int(figures["overtaken_measurements"]),
        )

    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topic = "liquid_nav_sim_node/outcome"
    listener.create_subscription(DiagnosticStatus, topic, on_outcome, latched)
    simulator = node(
        "simulator",
        pace="lock_step",
        seed=seed,
        auto_reset=True,
        episodes=episodes,
        odometry_rate=50.0 if odometry else 0.0,
    )
    controller = node("controller", use_sim_time=True, autostart=True, minimum_rate=minimum_rate)
    try:
        while len(ends) < episodes:
            rclpy.spin_once(listener, timeout_sec=0.1)
            if simulator.poll() is not None and len(ends) < episodes - 1:
                raise SystemExit("the simulator process has ended early")
            if controller.poll() is not None:
                raise SystemExit("the controller process has ended early")
        simulator.wait(60)
    finally:
        for process in (controller, simulator):
            process.terminate()
            process.wait()
        rclpy.shutdown()
    return ends


def in_one_process(seed: int, episodes: int) -> dict[int, End]:
    """Fly without ROS in this process; give how each flight ended, by seed."""
    torch.set_num_threads(1)
    world, controller = World(), Controller(load_policy(MODEL)[0])
    ends = {}
    for number in range(seed, seed + episodes):
        flight = fly(world, controller, number)
        place = tuple(flight.track[-1].tolist())
        ends[number] = End(flight.outcome.value, flight.duration, place)
    world.close()
    return ends


def main() -> None:
    """Fly both ways, and print a line for each and one that compares them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=100_000)
    parser.add_argument("--minimum-rate", type=float, default=20.0)
    parser.add_argument("--odometry", action="store_true", help="publish odometry as well")
    options = parser.parse_args()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILES))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["OMP_NUM_THREADS"] = "1"
    seed, episodes = options.seed, options.episodes
    results = {}
    for name, fly_all in (
        ("ROS 2", lambda: over_ros(seed, episodes, options.minimum_rate, options.odometry)),
        ("in one process", lambda: in_one_process(seed, episodes)),
    ):
        begin = time.perf_counter()
        ends = results[name] = fly_all()
        wall = time.perf_counter() - begin
        success = sum(end.outcome == "success" for end in ends.values())
        low, high = wilson(success, len(ends))
        simulated = sum(end.duration for end in ends.values())
        print(
            f"{name:15} success {success}/{len(ends)} [{low:.2f}, {high:.2f}]  "
            f"{simulated:.1f} s simulated in {wall:.1f} s"
        )
    ros, alone = results.values()
    apart = [np.linalg.norm(np.subtract(ros[s].position, alone[s].position)) for s in alone]
    print(
        f"same outcome: {sum(ros[s].outcome == alone[s].outcome for s in alone)}/{episodes}, "
        f"identical: {sum(ros[s] == alone[s] for s in alone)}/{episodes}; "
        f"overtaken measurements: {sum(end.overtaken for end in ros.values())}; "
        f"distance of end positions: median {np.median(apart):.2g} m, largest {max(apart):.2g} m"
    )


if __name__ == "__main__":
    main()
