"""The liquid state on its topic, for every registered cell."""

from collections.abc import Iterator

import pytest

from liquid_nav.liquid import CELLS, LiquidCell
from liquid_nav.policy import make_policy
from ros.ros_support import Spinner
from support import sample, small_network

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState

from liquid_nav.ros.controller.liquid_state import LiquidStatePublisher


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def test_every_cell_has_one_with_time_constants_or_without(ros: Spinner) -> None:
    node, states = ros.node("liquid"), []
    publisher = LiquidStatePublisher(node, 100.0)
    reader = ros.node("plot").create_subscription(
        JointState, "liquid/liquid_state", states.append, 100
    )
    ros.until_matched(reader)
    for index, cell in enumerate(CELLS):
        config, network = small_network(cell)
        policy, event = make_policy(config, network), sample(float(index))
        memory, _ = policy.on_event(policy.initial(), event, 0, 0)
        publisher.offer(policy, memory, event)
        ros.until(lambda count=index + 1: len(states) == count, what=f"the state of {cell}")
        state = states[-1]
        assert len(state.name) == len(state.position) == config.units
        liquid = isinstance(network.core, LiquidCell)
        assert len(state.effort) == (config.units if liquid else 0)
