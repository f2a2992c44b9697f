"""The policies that come with the package: one for each task, within their budget, and they fly."""

import pytest
import torch

from liquid_nav.cli.shipped import shipped_model
from liquid_nav.command import CommandLimits
from liquid_nav.controller import Controller
from liquid_nav.errors import BundleError
from liquid_nav.events import Channel
from liquid_nav.learning.flying.sensing import events
from liquid_nav.learning.settings import read_settings
from liquid_nav.onboard import load_policy, read_manifest
from liquid_nav.policy import load_network
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.registry import make_task
from liquid_nav_sim.world import Outcome, World

TASKS = ("target", "forest", "gates", "follow")


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_policy_within_its_budget(task: str) -> None:
    model = shipped_model(task)
    manifest = read_manifest(model)
    assert manifest.task == task
    assert read_settings(model / "settings.toml")["task"] == task
    assert (model / "CARD.md").read_text().startswith(f"# Model card: {task}\n")
    network, _ = load_network(model)
    assert count(network.core) <= 20_000
    assert sum(map(count, network.encoders.values())) <= 150_000


def test_a_task_without_a_policy_is_named() -> None:
    with pytest.raises(BundleError, match="no model for task 'climb' comes with liquid_nav"):
        shipped_model("climb")


@pytest.mark.parametrize("task", TASKS)
def test_every_policy_flies_its_task(task: str) -> None:
    policy, manifest = load_policy(shipped_model(task))
    assert Channel.CAMERA in policy.channels
    world = World(WorldConfig(task=make_task(task, 0.25), renderer="raycast"))
    limits = CommandLimits().scaled(manifest.speed)
    controller = Controller(policy, SafetyConfig(limits=limits))
    outcomes = []
    for seed in range(3):
        world.reset(90_000 + seed)
        controller.reset()
        for event in events(world, controller.channels):
            controller.on_event(event)
            world.command(controller.command(event.arrival))
        outcomes.append(world.outcome)
    world.close()
    assert outcomes.count(Outcome.SUCCESS) >= 2
