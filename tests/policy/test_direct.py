"""Which channels act on the command at once, and which through the state only."""

import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.onboard import PolicyConfig
from liquid_nav.onboard.encoders import CameraEncoder, ImuEncoder, OdometryEncoder
from liquid_nav.onboard.policy import Policy
from liquid_nav.policy import PolicyNetwork, make_policy
from liquid_nav.policy.scripted import folded
from support import frame, sample, small_network

NATIVE = pytest.mark.parametrize("native", [True, False], ids=["native", "torchscript"])


def jump(policy: Policy, event: Event) -> float:
    """Largest change of a command component at an event, after half a second of flight."""
    memory = policy.initial()
    for k in range(20):
        for earlier in (frame(0.03 * k, seed=k), sample(0.03 * k + 0.01, seed=k)):
            memory, _ = policy.on_event(memory, earlier, SECOND // 60, 0)
    before = policy.query(memory, SECOND // 200)
    _, after = policy.on_event(memory, event, SECOND // 200, 0)
    return max(abs(a - b) for a, b in zip(after, before, strict=True))


@NATIVE
@pytest.mark.parametrize("cell", ["liquid_flow", "ltc"])
def test_an_imu_sample_acts_through_the_state_only(native: bool, cell: str) -> None:
    policy = make_policy(*small_network(cell), native=native)
    assert policy.config.direct == (Channel.CAMERA,)
    assert jump(policy, sample(1.0, seed=99)) == 0.0
    assert jump(policy, frame(1.0, seed=99)) > 1e-3


@NATIVE
def test_a_policy_may_read_every_channel_directly(native: bool) -> None:
    config, _ = small_network()
    config = replace(config, direct=("imu", "camera"))
    assert config.direct == (Channel.CAMERA, Channel.IMU)
    torch.manual_seed(0)
    policy = make_policy(config, PolicyNetwork(config), native=native)
    assert jump(policy, sample(1.0, seed=99)) > 1e-3


def test_the_folded_head_has_zeros_where_it_does_not_read() -> None:
    config, network = small_network()
    arrays = folded(network)
    units, imu = config.units, config.layout[Channel.IMU]
    assert arrays.head_weight.shape == (4, units + config.latch_size)
    assert not arrays.head_weight[:, units + imu.start : units + imu.stop].any()
    assert (arrays.head_weight[:, :units] == network.head.weight[:, :units].detach().numpy()).all()
    assert arrays.head_weight[:, units : units + imu.start].all()


def test_the_network_can_be_exported_by_torch() -> None:
    _, network = small_network()
    state, latch = network.initial(2)
    latch = torch.rand_like(latch)
    program = torch.export.export(network, (state, latch))
    assert torch.equal(program.module()(state, latch), network(state, latch))


def old(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "direct"}


def test_a_configuration_says_which_channels_are_direct() -> None:
    encoders = (CameraEncoder(), ImuEncoder(), OdometryEncoder())
    config = PolicyConfig(encoders)
    content = json.loads(json.dumps(config.to_dict()))
    assert content["direct"] == ["camera", "odometry"]
    assert PolicyConfig.from_dict(content) == config
    everything = PolicyConfig.from_dict(old(content))
    assert everything.direct == (Channel.CAMERA, Channel.IMU, Channel.ODOMETRY)
    assert everything == replace(config, direct=("camera", "imu", "odometry"))


def test_a_bundle_from_before_the_field_reads_every_channel_directly() -> None:
    path = Path(str(importlib.resources.files("liquid_nav_models") / "target"))
    content = json.loads((path / "manifest.json").read_text())["config"]
    assert PolicyConfig.from_dict(old(content)).direct == (Channel.CAMERA, Channel.IMU)


@pytest.mark.parametrize(
    ("direct", "message"),
    [
        (("sonar",), "direct of a policy must be channels that it reads .camera, imu., got sonar"),
        ("camera", "direct of a policy must be a tuple of channels, got 'camera'"),
        ((1,), "direct of a policy must be a tuple of channels"),
    ],
)
def test_a_direct_channel_must_have_an_encoder(direct: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PolicyConfig(direct=direct)
