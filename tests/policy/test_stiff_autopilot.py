"""The shipped policy on a vehicle that shakes its IMU and whose autopilot smooths nothing."""

import importlib.resources
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Channel, Event, ImuSample
from liquid_nav.onboard import Policy, load_policy
from liquid_nav.onboard.encoders.imu import GRAVITY
from liquid_nav.policy import PolicyNetwork, load_network, make_policy
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.vehicle.autopilot_model import load_autopilot
from liquid_nav_sim.vehicle.files import load_vehicle
from liquid_nav_sim.world import Outcome, World

SHIPPED = Path(str(importlib.resources.files("liquid_nav_models") / "target"))
AMPLITUDE = 3.0
FREQUENCY = 177.0


def shaken(event: Event) -> Event:
    """Add the vibration of the rotors to a sample: m/s^2 and, fifty times less, rad/s."""
    if not isinstance(event, ImuSample):
        return event
    phase = 2 * math.pi * FREQUENCY * event.stamp / SECOND
    wave = AMPLITUDE * np.sin(phase + np.arange(3))
    return replace(
        event,
        specific_force=event.specific_force + wave,
        angular_velocity=event.angular_velocity + 0.02 * wave,
    )


def through_state() -> Policy:
    """The shipped policy with an IMU that its head does not read, but as it is at rest."""
    network, manifest = load_network(SHIPPED)
    config = replace(manifest.config, direct=("camera",))
    place, units = config.layout[Channel.IMU], config.units
    with torch.no_grad():
        rest = network.encoders["imu"](torch.tensor([[0, 0, 0, 0, 0, GRAVITY]]), torch.zeros(1))[0]
        weight = network.head_weight()[:, units + place.start : units + place.stop]
        network.head.bias += weight @ rest
        copy = PolicyNetwork(config)
        copy.load_state_dict(network.state_dict())
    return make_policy(config, copy)


def flown(policy: Policy, autopilot: str, seed: int) -> tuple[Outcome, float, float]:
    """Fly a light vehicle to its target.

    Returns how it ended, by how much it sank below both the height of its start and that of the
    target, in metres, and the mean change of vz of the command, m/s^2.
    """
    world = World(
        WorldConfig(
            vehicle=load_vehicle("crazyflie"),
            autopilot=load_autopilot(autopilot),
            task=make_task("target", 0.0),
        )
    )
    controller = Controller(policy)
    try:
        world.reset(seed)
        begin = lowest = world.state.position[2]
        change = last = 0.0
        while (event := world.next_event()) is not None:
            controller.on_event(shaken(event))
            command = controller.command(event.arrival)
            world.command(command)
            change += abs(command.vz - last)
            last, lowest = command.vz, min(lowest, world.state.position[2])
        assert world.outcome is not None
        sunk = max(0.0, min(begin, world.attempt.goal[2]) - lowest)
        return world.outcome, sunk, change / (world.time / SECOND)
    finally:
        world.close()


@pytest.mark.parametrize("seed", [98000, 98001])
def test_the_shipped_policy_does_not_sink_on_a_stiff_autopilot(seed: int) -> None:
    outcome, sunk, change = flown(load_policy(SHIPPED)[0], "stiff", seed)
    assert outcome is Outcome.SUCCESS
    assert sunk < 0.1
    # The slew limit holds vz back.
    assert change < 4.0


@pytest.mark.parametrize("autopilot", ["stiff", "twitchy"])
def test_through_the_state_vibration_sinks_no_autopilot(autopilot: str) -> None:
    """On the twitchy one a policy that reads the IMU directly falls into the ground."""
    outcome, sunk, change = flown(through_state(), autopilot, 98000)
    assert outcome is Outcome.SUCCESS
    assert sunk < 0.02
    assert change < 2.5
