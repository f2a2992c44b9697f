"""Policies of any channels: trained, saved, loaded and flown, with the numbers of training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from liquid_nav.cli.main import main
from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event, Goal, Odometry, RangeSample
from liquid_nav.learning.data.episodes import SIGHT, EpisodeBuilder, load_folder
from liquid_nav.learning.data.sequences import PieceStream, unroll
from liquid_nav.learning.flying.rollout import Bursts, record
from liquid_nav.learning.flying.sensing import fitted
from liquid_nav.learning.imitation import TrainingConfig, train
from liquid_nav.onboard import Manifest, Policy, PolicyConfig, load_policy, native
from liquid_nav.onboard.encoders import CameraEncoder, OdometryEncoder
from liquid_nav.onboard.runtime import NativeRuntime, probe
from liquid_nav.policy import PolicyNetwork, load_network, make_policy, save_bundle
from liquid_nav.policy.scripted import ScriptedRuntime
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World
from support import frame, sample

ALL = ("camera", "imu", "goal", "range", "odometry")
BLIND = ("imu", "odometry", "goal")
SETS = (ALL, BLIND, ("odometry", "camera"), ("range",))

needs_kernel = pytest.mark.skipif(native.kernel is None, reason="the native kernel is not built")


def small(names: tuple[str, ...]) -> PolicyConfig:
    config = PolicyConfig.of_channels(names, units=12)
    encoders = [
        replace(e, features=8, convolutions=(4, 4, 4))
        if isinstance(e, CameraEncoder)
        else replace(e, features=5)
        for e in config.encoders
    ]
    return replace(config, encoders=tuple(encoders))


def small_network(names: tuple[str, ...], seed: int = 0) -> tuple[PolicyConfig, PolicyNetwork]:
    torch.manual_seed(seed)
    config = small(names)
    network = PolicyNetwork(config)
    with torch.no_grad():
        network.head.weight.mul_(3.0)
    return config, network.eval()


def odometry(now: int, rng: np.random.Generator) -> Odometry:
    yaw = rng.uniform(-3, 3)
    level = np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
    return Odometry(now, now, rng.normal(0, 5, 3), level, rng.normal(size=3), rng.normal(size=3))


def event_of(channel: Channel, stamp: int, arrival: int, seed: int) -> Event:
    rng = np.random.default_rng(seed)
    made: dict[Channel, Event] = {
        Channel.CAMERA: frame(0, 0, seed),
        Channel.IMU: sample(0, 0, seed),
        Channel.GOAL: Goal(0, 0, rng.normal(0, 100, 3)),
        Channel.RANGE: RangeSample(0, 0, float(rng.choice([-np.inf, 0.1, 3.0, np.inf]))),
        Channel.ODOMETRY: odometry(0, rng),
    }
    return replace(made[channel], stamp=stamp, arrival=arrival)


@pytest.mark.parametrize("names", SETS, ids="-".join)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 4), st.sampled_from([0, 1, 5, 30, 400]), st.sampled_from([0, 3, 60])
        ),
        min_size=1,
        max_size=40,
    ),
    length=st.integers(7, 20),
)
def test_unrolling_gives_the_numbers_of_flight(
    names: tuple[str, ...], steps: list[tuple[int, int, int]], length: int
) -> None:
    config, network = small_network(names)
    policy = make_policy(config, network)
    builder, memory, now, last = EpisodeBuilder(config.encoders), policy.initial(), SECOND, None
    expected = []
    for k, (which, gap, latency) in enumerate(steps):
        now += gap * 1_000_000
        channel = config.encoders[which % len(config.encoders)].channel
        event = event_of(channel, now - latency * 1_000_000, now, k)
        builder.add(event, (0.0,) * 4, True, (0.0,) * SIGHT)
        elapsed, last = 0 if last is None else now - last, now
        memory, raw = policy.on_event(memory, event, elapsed, event.latency)
        expected.append(raw)
    episode = builder.build("success")
    stream = iter(
        PieceStream(
            [episode], 1, length, np.random.default_rng(0), augment=False, encoders=config.encoders
        )
    )
    state, latch = network.initial(1)
    got = []
    for _ in range(-(-len(steps) // length)):
        batch = next(stream)
        with torch.no_grad():
            commands, _, state, latch = unroll(network, batch, state, latch)
        got.append(commands[batch.valid].numpy())
    np.testing.assert_allclose(np.concatenate(got), expected, atol=5e-5)


SMALL = TrainingConfig(
    demonstrations=2,
    rounds=1,
    episodes=1,
    first_steps=3,
    steps=3,
    last_steps=3,
    validation=1,
    lanes=2,
    length=64,
    workers=0,
)
SHORT = (
    WorldConfig(task=TargetTask(time_limit=1.0))
    .with_sensor("imu", timing=SensorTiming(rate=100, latency=0.001))
    .with_sensor("camera", timing=SensorTiming(rate=15, latency=0.02))
)


@pytest.fixture(scope="module", params=[ALL, BLIND], ids="-".join)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PolicyConfig, Path]:
    config = small(request.param)
    out = tmp_path_factory.mktemp("run")
    return config, train(out, SMALL, config, SHORT, Console(quiet=True))


@needs_kernel
def test_what_was_trained_is_loaded_and_flown_natively_as_by_torchscript(
    trained: tuple[PolicyConfig, Path],
) -> None:
    config, bundle = trained
    ours, manifest = load_policy(bundle)
    theirs, _ = load_policy(bundle, runtime="torchscript")
    network, _ = load_network(bundle)
    again = make_policy(config, network)
    assert manifest.config == config
    assert ours.channels == config.by_channel.keys()
    assert isinstance(ours.runtime, NativeRuntime)
    assert isinstance(theirs.runtime, ScriptedRuntime)
    commands = probe(ours.runtime, config)
    assert np.ptp(commands) > 1e-3
    np.testing.assert_allclose(commands, probe(theirs.runtime, config), atol=1e-4)
    np.testing.assert_array_equal(commands, probe(again.runtime, config))


@needs_kernel
def test_it_flies_in_the_simulator_and_its_other_channels_act(
    trained: tuple[PolicyConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, bundle = trained
    policies = [load_policy(bundle)[0], load_policy(bundle, runtime="torchscript")[0]]
    controllers = [Controller(policy) for policy in policies]
    commands: list[list[tuple[float, ...]]] = [[], []]
    on_event = Controller.on_event

    def both(self: Controller, event: Event) -> None:
        for controller, noted in zip(controllers, commands, strict=True):
            on_event(controller, event)
            noted.append(controller.command(event.arrival).vector)

    monkeypatch.setattr(Controller, "on_event", both)
    world = World(fitted(SHORT, config.by_channel))
    episode = record(
        world, 5, controllers[0], Bursts(0.0, np.random.default_rng(0)), config.encoders
    )
    world.close()
    health = controllers[0].health
    assert set(episode.channels) == set(config.by_channel)
    assert all(health.channels[channel].accepted > 0 for channel in config.by_channel)
    assert (health.mode, health.policy_faults, health.unknown) == (Mode.NOMINAL, 0, 0)
    natively, scripted = np.array(commands[0]), np.array(commands[1])
    assert np.isfinite(natively).all()
    np.testing.assert_allclose(natively, scripted, atol=1e-4)
    # A measurement of any other channel would have led to another command.
    memory = controllers[0].memory
    rng = np.random.default_rng(1)
    for channel, event, other in (
        (Channel.GOAL, Goal(0, 0, np.zeros(3)), Goal(0, 0, np.array([9.0, -9.0, 3.0]))),
        (Channel.RANGE, RangeSample(0, 0, np.inf), RangeSample(0, 0, 0.3)),
        (Channel.ODOMETRY, odometry(0, rng), odometry(0, rng)),
    ):
        if channel in config.by_channel:
            _, one = policies[0].on_event(memory, event, 0, 0)
            _, two = policies[0].on_event(memory, other, 0, 0)
            assert np.abs(np.subtract(one, two)).max() > 1e-4


def flown(policy: Policy, until: int, *channels: Channel) -> Controller:
    """A controller that was sent events of these channels, every 20 ms."""
    controller = Controller(policy)
    for k, now in enumerate(range(0, until, SECOND // 50)):
        for channel in channels:
            controller.on_event(event_of(channel, now, now, k))
    return controller


def test_a_goal_is_needed_once_and_never_stale() -> None:
    policy = make_policy(*small_network(BLIND))
    controller = flown(policy, SECOND, Channel.IMU, Channel.ODOMETRY)
    assert controller.health.mode is Mode.HOVER
    assert controller.health.reason == "goal: nothing received yet"
    controller.on_event(event_of(Channel.GOAL, SECOND, SECOND, 0))
    assert controller.command(SECOND).mode is Mode.NOMINAL
    hours = 10_000 * SECOND
    controller.on_event(event_of(Channel.ODOMETRY, hours, hours, 1))
    controller.on_event(event_of(Channel.IMU, hours, hours, 1))
    assert controller.health.reason == "imu: recovering; odometry: recovering"
    later = hours + SECOND
    for now in range(hours, later, SECOND // 50):
        controller.on_event(event_of(Channel.ODOMETRY, now, now, now))
        controller.on_event(event_of(Channel.IMU, now, now, now))
    assert controller.health.mode is Mode.NOMINAL


def test_a_goal_outlives_a_fault_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy(*small_network(BLIND))
    controller = flown(policy, SECOND, Channel.IMU, Channel.ODOMETRY, Channel.GOAL)
    place = policy.config.layout[Channel.GOAL]
    held = controller.memory.latch[place].copy()
    assert np.any(held)
    with monkeypatch.context() as broken:
        runtime = policy.runtime.on_event

        def fail(memory: object, channel: Channel, *rest: object) -> object:
            if channel == Channel.IMU:
                raise RuntimeError("broken")
            return runtime(memory, channel, *rest)  # type: ignore[arg-type]

        broken.setattr(policy.runtime, "on_event", fail)
        controller.on_event(event_of(Channel.IMU, SECOND, SECOND, 3))
    assert controller.health.policy_faults == 1
    # Its age enters too, so that the features are the same but for that.
    np.testing.assert_allclose(controller.memory.latch[place], held, atol=0.2)
    assert np.any(controller.memory.latch[place])


def test_a_silent_range_finder_hovers_where_the_policy_reads_it() -> None:
    policy = make_policy(*small_network(("range",)))
    controller = flown(policy, SECOND, Channel.RANGE)
    assert controller.health.mode is Mode.NOMINAL
    assert controller.command(2 * SECOND).reason == "range: stale for more than 0.5 s"
    controller.on_event(RangeSample(SECOND, SECOND, np.nan))
    assert controller.health.channels[Channel.RANGE].last_rejection == "not finite"


def test_odometry_that_the_policy_reads_holds_the_geofence_too() -> None:
    from liquid_nav.safety.geofence import Geofence
    from liquid_nav.safety.layer import SafetyConfig

    policy = make_policy(*small_network(("odometry",)))
    fence = Geofence((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0))
    controller = Controller(policy, SafetyConfig(geofence=fence))
    free = Controller(policy)
    still = np.zeros(3)
    for now in range(0, SECOND, SECOND // 50):
        at_the_wall = Odometry(
            now, now, np.array([1.0, 1.0, 2.0]), np.array([0.0, 0, 0, 1]), still, still
        )
        for flying in (controller, free):
            flying.on_event(at_the_wall)
    assert max(free.command(SECOND).vector[:3]) > 1e-3
    assert max(controller.command(SECOND).vector[:3]) <= 1e-9


def test_measurements_are_bounded_and_mirror() -> None:
    for encoder in PolicyConfig.of_channels(ALL).encoders[1:]:
        assert encoder.shape == np.shape(encoder.example(0))
        rows = np.array([encoder.example(k) for k in range(4)], np.float32)
        np.testing.assert_array_equal(encoder.mirrored(encoder.mirrored(rows)), rows)
    far = Goal(0, 0, np.array([3e6, -4e6, 0.0]))
    config = PolicyConfig.of_channels(ALL)
    assert config.by_channel[Channel.GOAL].measure(far) == pytest.approx([60.0, -80.0, 0.0])
    measure = config.by_channel[Channel.RANGE].measure
    assert [measure(RangeSample(0, 0, d)) for d in (np.inf, -np.inf, 4.0, 0.0)] == [
        [0.0, 0.0, 1.0],
        [5.0, 1.0, 0.0],
        [0.25, 0.0, 0.0],
        [5.0, 0.0, 0.0],
    ]


def test_odometry_comes_with_the_pose_where_there_is_a_goal() -> None:
    beside = PolicyConfig.of_channels(("imu", "odometry", "goal")).by_channel[Channel.ODOMETRY]
    alone = PolicyConfig.of_channels(("imu", "odometry")).by_channel[Channel.ODOMETRY]
    assert (beside, alone) == (OdometryEncoder(pose=True), OdometryEncoder())


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("imu", "telepathy"), "no encoder 'telepathy'"),
        (("imu", "imu"), "one encoder for each channel"),
        ((), "at least one encoder"),
    ],
)
def test_channels_that_make_no_policy_are_refused(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PolicyConfig.of_channels(names)


def test_episodes_of_other_channels_are_refused(tmp_path: Path) -> None:
    encoders = small(BLIND).encoders
    builder = EpisodeBuilder(encoders)
    builder.add(sample(0.0), (0.0,) * 4, True)
    builder.build("success").save(tmp_path / "a.npz")
    assert len(load_folder(tmp_path, encoders)) == 1
    with pytest.raises(ConfigError, match="has no range, which the model reads"):
        load_folder(tmp_path, small(("imu", "range")).encoders)


def test_a_policy_without_a_camera_is_trained_flown_and_replayed_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, model = str(tmp_path / "run"), str(tmp_path / "run" / "model")
    channels = ("--channels", "imu", "odometry", "goal", "range")
    few = [
        "--demonstrations",
        "1",
        "--rounds",
        "0",
        "--last-steps",
        "2",
        "--validation",
        "1",
        "--lanes",
        "1",
        "--workers",
        "0",
        "--units",
        "8",
    ]
    assert main(["train", "target", *channels, *few, "--out", run]) == 0
    fly = ["fly", "--model", model, "--episodes", "1", "--record", run, "--out", run]
    assert main(fly) == 0
    flown = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    assert (tmp_path / "run" / "flights.mp4").stat().st_size > 0
    recording = next((tmp_path / "run").glob("*.mcap"))
    assert main(["replay", str(recording), "--model", model]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    replayed = dict(row for row in rows if len(row) == 2)
    assert flown["commands_sha256"] == replayed["commands_sha256"]
    taken_in = {row[0]: int(row[1]) for row in rows if row and row[0] in channels}
    assert taken_in["goal"] == 1
    assert min(taken_in[name] for name in ("imu", "odometry", "range")) > 10


def test_a_policy_of_goals_alone_flies_at_the_pace_of_the_imu(tmp_path: Path) -> None:
    config, path = small(("goal",)), tmp_path / "model"
    save_bundle(path, PolicyNetwork(config), Manifest("target", config, {}, {}))
    result = tmp_path / "result.json"
    fly = ["fly", "--model", str(path), "--episodes", "1", "--seed", "7", "--json", str(result)]
    assert main(fly) == 0
    times = json.loads(result.read_text())["event_to_command_us"]
    assert {name for name, figures in times.items() if figures["p50"]} == {"goal", "imu"}


def test_an_encoder_that_is_not_there_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", "target", "--channels", "imu", "telepathy", "--out", str(out)]) == 2
    assert "there is no encoder 'telepathy'; choose one of camera" in capsys.readouterr().err
    assert not out.exists()
