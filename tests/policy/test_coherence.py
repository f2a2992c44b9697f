"""Commands stay coherent while the IMU vibrates: how much of its noise reaches the command."""

import importlib.resources
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from liquid_nav.events import SECOND, ImuSample
from liquid_nav.onboard import PolicyConfig, load_policy
from liquid_nav.onboard.policy import Policy
from liquid_nav.policy import PolicyNetwork, load_network, make_policy
from support import frame

MODELS = Path(str(importlib.resources.files("liquid_nav_models")))
DIRECT = Path(__file__).parent / "format_1"
"""A policy whose head reads the IMU."""
PERIOD = SECOND // 200
FREQUENCIES = (83.0, 110.0, 150.0, 190.0, 240.0, 310.0, 395.0)
GRAVITY = 9.80665


def hovering(policy: Policy, frequency: float, amplitude: float) -> NDArray[np.float64]:
    """Commands (T, 4) after each sample of a vehicle at rest that vibrates, 200 a second for 3 s.

    It sees the same scene at 25 Hz. The IMU samples the vibration without a filter, so that most
    of the frequencies, in Hz, are aliased. The amplitude is that of the specific force, m/s^2.
    """
    memory, still = policy.initial(), frame(0.0)
    phases = np.random.default_rng(round(frequency)).uniform(0, 2 * math.pi, (2, 3))
    commands = []
    for k in range(600):
        dt = PERIOD
        if k % 8 == 0:
            memory, _ = policy.on_event(memory, still, dt, SECOND // 30)
            dt = 0
        wave = np.sin(2 * math.pi * frequency * k / 200 + phases)
        force = amplitude * wave[0] + (0.0, 0.0, GRAVITY)
        event = ImuSample(0, 0, 0.02 * amplitude * wave[1], force)
        memory, command = policy.on_event(memory, event, dt, 0)
        commands.append(command)
    return np.array(commands)


def change_per_second(policy: Policy, amplitude: float = 3.0) -> NDArray[np.float64]:
    """Mean change per second (4,) of each component of the command, after a second to settle."""
    flights = [hovering(policy, frequency, amplitude)[200:] for frequency in FREQUENCIES]
    return np.mean([np.abs(np.diff(flight, axis=0)).sum(0) / 2.0 for flight in flights], axis=0)


def networks(trained: bool, **options: Any) -> tuple[PolicyNetwork, PolicyConfig, PolicyConfig]:
    """A network whose head reads every channel, its configuration, and the one without the IMU."""
    if trained:
        network, manifest = load_network(DIRECT)
        every = manifest.config
    else:
        every = PolicyConfig(direct=("camera", "imu"), cell_options=options)
        torch.manual_seed(3)
        network = PolicyNetwork(every)
    return network, every, replace(every, direct=("camera",), cell_options=options)


def with_weights(config: PolicyConfig, network: PolicyNetwork) -> Policy:
    copy = PolicyNetwork(config)
    copy.load_state_dict(network.state_dict())
    return make_policy(config, copy)


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "random"])
def test_vibration_moves_the_command_far_less_through_the_state(trained: bool) -> None:
    network, every, through_state = networks(trained)
    before = change_per_second(with_weights(every, network))
    after = change_per_second(with_weights(through_state, network))
    assert before.min() > 0.1
    assert (after * 5 < before).all()


@pytest.mark.parametrize("task", ["target", "forest", "gates", "follow"])
def test_vibration_hardly_moves_the_command_of_a_shipped_policy(task: str) -> None:
    direct, shipped = (load_policy(path)[0] for path in (DIRECT, MODELS / task))
    assert (change_per_second(shipped) * 3 < change_per_second(direct)).all()


def test_a_longer_smallest_time_constant_quietens_the_command_further() -> None:
    network, _, quick = networks(trained=True)
    slow = replace(quick, cell_options={"tau_min": 0.05})
    quick_change = change_per_second(with_weights(quick, network))
    slow_change = change_per_second(with_weights(slow, network))
    assert (slow_change * 1.5 < quick_change).all()


@pytest.mark.parametrize("cell", ["liquid_flow", "ltc"])
def test_the_smallest_time_constant_bounds_the_change_of_the_command(cell: str) -> None:
    """No samples, however wild, move the command faster; docs/training.md states this bound."""
    config = PolicyConfig(cell=cell, units=12, cell_options={"tau_min": 0.05})
    torch.manual_seed(4)
    network = PolicyNetwork(config)
    low, high, tau, _ = network.core.bounds()  # type: ignore[operator]
    assert tau.min() > 0.05 * (1 - 1e-5)
    weight = network.head_weight()[:, : config.units].detach().abs()
    share = 1 - math.exp(-PERIOD / SECOND / 0.05)
    most = (weight @ (high - low)).numpy() * config.limits.magnitude * share
    policy = make_policy(config, network)
    memory, _ = policy.on_event(policy.initial(), frame(0.0), 0, 0)
    rng = np.random.default_rng(5)
    last = np.array(policy.query(memory, 0))
    for _ in range(200):
        event = ImuSample(0, 0, rng.normal(size=3) * 30, rng.normal(size=3) * 300)
        memory, command = policy.on_event(memory, event, PERIOD, 0)
        assert (np.abs(command - last) <= most + 1e-6).all()
        last = np.array(command)
