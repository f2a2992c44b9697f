"""The shipped policy flies the simulator over ROS 2: two processes, in lock-step."""

import signal
from collections.abc import Iterator

import pytest

from ros.node_support import Process, bring_up
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile

SEED = 100_003


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def parameters(**values: object) -> list[str]:
    return [
        word for name, value in values.items() for word in ("-p", f"{name}:={str(value).lower()}")
    ]


def test_the_shipped_policy_reaches_the_target(ros: Spinner) -> None:
    observer, outcomes = ros.node("observer"), []

    def on_outcome(status: DiagnosticStatus) -> None:
        outcomes.append({pair.key: pair.value for pair in status.values})

    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    topic = "liquid_nav_sim_node/outcome"
    observer.create_subscription(DiagnosticStatus, topic, on_outcome, latched)
    drone = parameters(pace="lock_step", seed=SEED, lock_step_timeout=60.0)
    with (
        Process("simulator", *drone) as simulator,
        Process("controller", *parameters(use_sim_time=True)) as controller,
    ):
        bring_up(ros, observer)
        ros.until(lambda: outcomes, 240, "the end of the flight")
        assert (outcomes[0]["seed"], outcomes[0]["outcome"]) == (str(SEED), "success")
        assert outcomes[0]["unanswered_measurements"] == "0"
        assert controller.end(ros, signal.SIGTERM) == 0
        assert simulator.end(ros, signal.SIGTERM) == 0
