"""The shipped policy flies a task in a vehicle that something else flies, through the eyes node.

Four processes over real DDS: the vehicle, its eyes, the controller, and the observer here.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ros.node_support import Process, bring_up
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile

SEED = 99_101
VEHICLE = Path(__file__).parents[1] / "scripted_vehicle.py"


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def parameters(**values: object) -> list[str]:
    return [
        word for name, value in values.items() for word in ("-p", f"{name}:={str(value).lower()}")
    ]


def test_the_shipped_policy_flies_a_vehicle_that_has_no_camera(ros: Spinner) -> None:
    observer, outcomes = ros.node("observer"), []

    def on_outcome(status: DiagnosticStatus) -> None:
        outcomes.append({pair.key: pair.value for pair in status.values})

    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topic = "liquid_nav_eyes_node/outcome"
    observer.create_subscription(DiagnosticStatus, topic, on_outcome, latched)
    simulated = parameters(use_sim_time=True)
    pilot = parameters(use_sim_time=True, sensor_reliability="reliable")
    with (
        subprocess.Popen([sys.executable, str(VEHICLE)], env=os.environ) as vehicle,
        Process("eyes", *simulated, *parameters(seed=SEED, pose_timeout=5.0)) as eyes,
        Process("controller", *pilot) as controller,
    ):
        try:
            bring_up(ros, observer)
            ros.until(lambda: outcomes, 400, "the end of the flight")
            assert (outcomes[0]["seed"], outcomes[0]["outcome"]) == (str(SEED), "success")
            assert float(outcomes[0]["clearance"]) > 0
            assert controller.end(ros, signal.SIGTERM) == 0
            assert eyes.end(ros, signal.SIGTERM) == 0
        finally:
            vehicle.kill()
