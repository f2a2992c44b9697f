"""A policy that reads an airspeed sensor is trained for a step, saved, loaded and flown."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Channel, ImuSample
from liquid_nav.learning.episodes import EpisodeBuilder
from liquid_nav.learning.losses import command_loss
from liquid_nav.learning.sequences import PieceStream, unroll
from liquid_nav.onboard import Manifest, PolicyConfig, load_policy, native
from liquid_nav.policy import PolicyNetwork, save_bundle
from plugin_support import plugged


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged("encoder_airspeed", tmp_path_factory.mktemp("site")):
        yield


def test_a_policy_learns_and_flies_by_airspeed(tmp_path: Path) -> None:
    from airspeed import Airspeed

    config = PolicyConfig.of_channels(("imu", "airspeed"), units=8)
    torch.manual_seed(0)
    network = PolicyNetwork(config)

    # An expert that flies forward the slower the faster the air comes.
    builder = EpisodeBuilder(config.encoders)
    rng = np.random.default_rng(0)
    for now in range(0, SECOND, SECOND // 100):
        speed = float(rng.uniform(0, 20))
        builder.add(Airspeed(now, now, speed), (1.0 - speed / 20, 0.0, 0.0, 0.0), True)
        builder.add(ImuSample(now, now, np.zeros(3), rng.normal(size=3)), (0.0,) * 4, True)
    rng = np.random.default_rng(0)
    stream = PieceStream([builder.build("success")], 1, 200, rng, encoders=config.encoders)
    batch = next(iter(stream))
    optimiser, losses = torch.optim.Adam(network.parameters(), 0.01), []
    for _ in range(5):
        loss = command_loss(unroll(network, batch, *network.initial(1))[0], batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]

    save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    policy, manifest = load_policy(tmp_path / "model")
    assert manifest.config == config
    assert (tmp_path / "model" / "native.safetensors").exists()
    if native.kernel is not None:
        load_policy(tmp_path / "model", runtime="native")

    controller, commands = Controller(policy), {}
    for speed in (2.0, 18.0):
        controller.reset()
        for now in range(0, SECOND, SECOND // 100):
            controller.on_event(ImuSample(now, now, rng.normal(size=3), rng.normal(size=3)))
            controller.on_event(Airspeed(now, now, speed + float(rng.normal(0, 0.1))))
        assert controller.command(SECOND).mode is Mode.NOMINAL
        commands[speed] = controller.command(SECOND).vx
    assert np.isfinite(list(commands.values())).all()
    assert abs(commands[2.0] - commands[18.0]) > 1e-3

    # Silent for longer than its encoder allows, and a number that is not one.
    controller.on_event(Airspeed(SECOND, SECOND, float("nan")))
    assert controller.health.channels[Channel("airspeed")].last_rejection == "not finite"
    assert "airspeed: stale for more than 0.5 s" in controller.command(2 * SECOND).reason
