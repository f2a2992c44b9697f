"""The security policy allows what the nodes do, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ros.node_support import Vehicle, save_small_bundle
from ros.ros_support import Spinner

pytest.importorskip("rclpy")

from liquid_nav.ros.supervisor import SupervisorNode

POLICY = Path(__file__).parents[2] / "config" / "security_policy.xml"

# On a lifecycle node and off it: heard only under use_sim_time, or if the user subscribes.
EXTRA = {"/parameter_events"}


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def allowed(node: str) -> dict[str, set[str]]:
    """Names that the policy allows a node, by what for."""
    profile = ElementTree.parse(POLICY).find(f".//profile[@node='{node}']")
    assert profile is not None
    assert profile.get("ns") == "/"
    found: dict[str, set[str]] = {}
    for group in profile:
        (use,) = group.attrib
        assert group.attrib[use] == "ALLOW"
        found[use] = {f"/{entry.text}" for entry in group}
    return found


def used(world: Any, node: str) -> dict[str, set[str]]:
    """Names that a live node uses, by what for."""
    listings = {
        "publish": world.get_publisher_names_and_types_by_node,
        "subscribe": world.get_subscriber_names_and_types_by_node,
        "reply": world.get_service_names_and_types_by_node,
    }
    return {use: {name for name, _ in listing(node, "/")} for use, listing in listings.items()}


def test_the_policy_is_what_the_controller_does(ros: Spinner, tmp_path: Path) -> None:
    bundle = save_small_bundle(tmp_path)
    vehicle = Vehicle(ros, bundle, "/", use_camera_info=True, liquid_state_rate=1.0).fly()
    seen = used(vehicle.world, "liquid_nav_node")
    assert {use: names - EXTRA for use, names in allowed("liquid_nav_node").items()} == {
        use: names - EXTRA for use, names in seen.items()
    }


def test_the_policy_is_what_the_supervisor_does(ros: Spinner) -> None:
    world = ros.add(SupervisorNode(context=ros.context))
    seen = used(world, "liquid_nav_supervisor")
    assert {use: names - EXTRA for use, names in allowed("liquid_nav_supervisor").items()} == {
        use: names - EXTRA for use, names in seen.items()
    }
