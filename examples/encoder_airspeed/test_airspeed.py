"""A policy that reads an airspeed sensor is trained for a step, saved, loaded and flown."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_nav.bags.bag import Recording
from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Channel, ImuSample
from liquid_nav.learning.data.episodes import EpisodeBuilder
from liquid_nav.learning.data.losses import command_loss
from liquid_nav.learning.data.sequences import PieceStream, unroll
from liquid_nav.onboard import Manifest, PolicyConfig, load_policy, native
from liquid_nav.policy import PolicyNetwork, make_policy, save_bundle
from liquid_nav.recording.recorder import FlightRecorder
from liquid_nav.replay.run import replay
from liquid_nav.replay.topics import Topics, find
from liquid_nav.ros.controller.parameters import channel_specs
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


def test_airspeed_is_recorded_and_replayed_by_its_message(tmp_path: Path) -> None:
    from airspeed import Airspeed

    config = PolicyConfig.of_channels(("imu", "airspeed"), units=8)
    policy = make_policy(config, PolicyNetwork(config).eval())
    controller, rng, commands = Controller(policy), np.random.default_rng(0), []
    with FlightRecorder(tmp_path / "flight.mcap", camera=None) as recorder:
        for now in range(0, SECOND, SECOND // 50):
            speed = Airspeed(now, now + 1000, float(rng.uniform(0, 20)))
            sample = ImuSample(now, now + 2000, rng.normal(size=3), rng.normal(size=3))
            for event in (speed, sample):
                recorder.event(event)
                controller.on_event(event)
                commands.append(controller.command(event.arrival))
                recorder.command(commands[-1])
    with Recording(tmp_path / "flight.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=True, reads=policy.channels)
        assert topics.roles["airspeed"] == "/airspeed"
        result = replay(recording, topics, policy)
    assert result.events == len(commands) == 100
    assert result.comparison is not None
    assert result.comparison.identical
    # The node offers the topic as a parameter.
    assert "topics.airspeed" in {spec.name for spec in channel_specs()}
