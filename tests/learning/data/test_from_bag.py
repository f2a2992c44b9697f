"""Recorded flights become episodes: the same events, and the commands as labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from liquid_nav.cli.main import main
from liquid_nav.command import Command
from liquid_nav.errors import ConfigError, ReplayError
from liquid_nav.events import SECOND, CameraFrame, Channel, Event, Goal, ImuSample
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.data.episodes import (
    SIGHT,
    Episode,
    EpisodeBuilder,
    EpisodeError,
    load_folder,
)
from liquid_nav.learning.data.from_bag import UNKNOWN_SIGHT, Pieces, convert
from liquid_nav.learning.data.losses import sight_loss
from liquid_nav.learning.experts.target import TargetExpert
from liquid_nav.learning.flying.sensing import events as simulated_events
from liquid_nav.learning.flying.sensing import fitted
from liquid_nav.learning.imitation import train
from liquid_nav.messages.fields import header, twist
from liquid_nav.onboard import Manifest, PolicyCamera, PolicyConfig, RawCommand
from liquid_nav.onboard.encoders import CAMERA_AND_IMU, CameraEncoder, Encoder
from liquid_nav.policy import PolicyNetwork, save_bundle
from liquid_nav.recording.recorder import COMMAND, FlightRecorder
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.topics import NONE, Topics
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World
from replay.replay_support import events
from support import sample, small_network

CAMERA = PolicyCamera()
EVERY = (Channel.CAMERA, Channel.IMU, Channel.GOAL, Channel.RANGE, Channel.ODOMETRY)
SHORT = WorldConfig(task=TargetTask(time_limit=2.5))


@dataclass
class Flown:
    path: Path
    events: list[Event]
    commands: list[RawCommand]

    @property
    def episode(self) -> Episode:
        """What it must become, camera and IMU only."""
        return self.episode_of(CAMERA_AND_IMU)

    def episode_of(self, encoders: Sequence[Encoder]) -> Episode:
        """What it must become for a model with these encoders."""
        builder = EpisodeBuilder(encoders)
        for event, command in zip(self.events, self.commands, strict=True):
            sight = UNKNOWN_SIGHT if isinstance(event, CameraFrame) else None
            builder.add(event, command, True, sight)
        return builder.build("recorded")


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Flown:
    """A flight of the expert in the simulator, with every sensor and the goal."""
    flight = Flown(tmp_path_factory.mktemp("flights") / "flight.mcap", [], [])
    world = World(fitted(SHORT, EVERY))
    world.reset(3)
    expert = TargetExpert(world)
    with FlightRecorder(flight.path, CAMERA) as recorder:
        for event in simulated_events(world, EVERY):
            expert.on_event(event)
            command = Command(event.arrival, *expert.command())
            flight.events.append(event)
            flight.commands.append(command.vector)
            recorder.event(event)
            recorder.command(command)
            world.command(command)
    world.close()
    return flight


def write(path: Path, flight: Sequence[Event | Command]) -> Path:
    with FlightRecorder(path, CAMERA) as recorder:
        for item in flight:
            if isinstance(item, Command):
                recorder.command(item)
            else:
                recorder.event(item)
    return path


def converted(
    path: Path, out: Path, encoders: Sequence[Encoder] = CAMERA_AND_IMU, **pieces: float
) -> list[Episode]:
    out.mkdir()
    convert(path, out, encoders, Topics(), Pieces(**pieces))
    return load_folder(out, encoders)


def equal(a: Episode, b: Episode) -> bool:
    names = ("channel", "dt", "age", "label", "seen", "sight", "outcome")
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    pairs += [(a.measured[channel], b.measured[channel]) for channel in a.channels]
    same = all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs)
    return same and a.channels == b.channels


def test_a_recorded_flight_is_the_episode_that_was_flown(flown: Flown, tmp_path: Path) -> None:
    (episode,) = converted(flown.path, tmp_path / "out")
    assert equal(episode, flown.episode)
    assert np.isnan(episode.sight).all()
    assert len(np.unique(episode.label, axis=0)) > 1


@pytest.mark.parametrize(
    "names",
    [
        ("camera", "imu", "goal", "range", "odometry"),
        ("goal", "odometry", "imu"),
        ("range",),
    ],
    ids="-".join,
)
def test_the_channels_of_the_model_are_learnt_from(
    flown: Flown, tmp_path: Path, names: tuple[str, ...]
) -> None:
    encoders = PolicyConfig.of_channels(names).encoders
    (episode,) = converted(flown.path, tmp_path / "out", encoders)
    assert equal(episode, flown.episode_of(encoders))
    assert all(len(episode.measured[encoder.channel]) for encoder in encoders)


def test_a_goal_holds_at_the_beginning_of_every_episode(tmp_path: Path) -> None:
    encoders = PolicyConfig.of_channels(("imu", "goal")).encoders
    start = SECOND // 2
    goal = Goal(start, start + 1000, np.array([4.0, 5.0, 6.0]))
    flight: list[Event | Command] = [goal]
    for event in (e for e in events(6.0) if isinstance(e, ImuSample) and e.arrival > SECOND):
        flight += [event, Command(event.arrival, 0.5)]
    pieces = converted(write(tmp_path / "a.mcap", flight), tmp_path / "out", encoders, longest=2.0)
    assert len(pieces) >= 2
    for piece in pieces:
        assert piece.measured[Channel.GOAL].tolist() == [[4.0, 5.0, 6.0]]
        assert piece.channels[piece.channel[0]] == Channel.GOAL
        assert piece.age[0] == np.float32(1e-6)
        assert piece.dt[:2].tolist() == [0, 0]


def test_a_topic_that_the_model_does_not_read_is_refused(flown: Flown, tmp_path: Path) -> None:
    chosen = Topics.of({"goal": "/goal"})
    with pytest.raises(
        ConfigError, match=r"/goal is chosen for the goal, which .* reads camera, imu"
    ):
        convert(flown.path, tmp_path, CAMERA_AND_IMU, chosen, Pieces())


def test_a_slow_stick_labels_every_event_with_the_command_in_force(tmp_path: Path) -> None:
    flight: list[Event | Command] = list(events(3.0))
    stick = [Command(round(t * SECOND), t, -t, 0.5, 0.1) for t in np.arange(1.2, 3.0, 0.0999)]
    flight = sorted(
        flight + stick, key=lambda i: (i.arrival, 0) if isinstance(i, Event) else (i.stamp, 1)
    )
    (episode,) = converted(write(tmp_path / "a.mcap", flight), tmp_path / "out")
    held = [e for e in events(3.0) if e.arrival >= stick[0].stamp]
    held = [e for e in held if e.arrival <= stick[-1].stamp + SECOND // 2]
    usable = [e for e in held if not isinstance(e, ImuSample) or abs(e.angular_velocity[2]) < 100]
    assert len(episode) == len(usable)
    for event, label in zip(usable, episode.label, strict=True):
        newest = [c for c in stick if c.stamp <= event.arrival][-1]
        assert label.tobytes() == np.array(newest.vector, np.float32).tobytes()


def test_a_silence_of_the_commands_parts_a_flight(tmp_path: Path) -> None:
    flight: list[Event | Command] = []
    for event in events(6.0):
        flight.append(event)
        if not 3 * SECOND < event.arrival < 5 * SECOND:
            flight.append(Command(event.arrival, 0.5))
    first, second = converted(write(tmp_path / "a.mcap", flight), tmp_path / "out", hold=0.1)
    assert float(first.dt.sum()) == pytest.approx(2.1, abs=0.02)
    assert float(second.dt.sum()) == pytest.approx(2.0, abs=0.05)
    assert (first.dt[0], second.dt[0]) == (0, 0)


@pytest.mark.parametrize("leap", [-64.5, -61.0, 2.0, 61.0, 3600.0])
def test_a_clock_that_leaps_parts_a_flight(tmp_path: Path, leap: float) -> None:
    """Back to before the first measurement or after it, and ahead."""
    encoders = PolicyConfig.of_channels(("imu", "goal")).encoders
    flight: list[Event | Command] = [Goal(99 * SECOND, 99 * SECOND, np.array([4.0, 5.0, 6.0]))]
    for k in range(1000):
        event = sample(100.0 + k / 15 + (leap if k >= 960 else 0.0), 0.0, k)
        flight += [event, Command(event.arrival, 0.5)]
    pieces = converted(write(tmp_path / "a.mcap", flight), tmp_path / "out", encoders)
    first, second = pieces
    assert [len(piece.measured[Channel.IMU]) for piece in pieces] == [960, 40]
    for piece in pieces:
        assert piece.dt.min() >= 0
        assert piece.dt.max() < 0.1
    assert len(first.measured[Channel.GOAL]) == 1
    # A goal holds for ever, but not into the flight that another clock begins.
    assert len(second.measured[Channel.GOAL]) == (leap > 0)


def test_an_event_that_comes_late_takes_no_time_back(tmp_path: Path) -> None:
    builder = EpisodeBuilder(PolicyConfig.of_channels(("imu",)).encoders)
    for stamp, latency in ((1.0, 0.0), (1.1, 0.1), (1.0, 0.1), (1.3, 0.0)):
        builder.add(sample(stamp, latency), (0.0,) * 4, True)
    episode = builder.build("recorded")
    np.testing.assert_allclose(episode.dt, [0.0, 0.2, 0.0, 0.1], atol=1e-6)
    np.testing.assert_allclose(episode.age, [0.0, 0.1, 0.2, 0.0], atol=1e-6)


def test_a_long_flight_is_cut(flown: Flown, tmp_path: Path) -> None:
    pieces = converted(flown.path, tmp_path / "out", longest=1.0, shortest=0.1)
    assert len(pieces) >= 2
    assert sum(map(len, pieces)) == len(flown.episode)


def test_training_learns_from_recorded_flights(flown: Flown, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    converted(flown.path, folder)
    settings = TrainingConfig(
        demonstrations=1, rounds=0, last_steps=3, validation=1, lanes=2, length=64, workers=0
    )
    config, _ = small_network()
    quiet = Console(quiet=True)
    run = tmp_path / "run"
    assert (train(run, settings, config, SHORT, quiet, folder) / "manifest.json").is_file()
    with pytest.raises(ConfigError, match="other settings"):
        train(run, settings, config, SHORT, quiet)


def test_frames_of_unknown_sight_add_no_loss() -> None:
    torch.manual_seed(0)
    guess, sight = torch.randn(5, SIGHT, requires_grad=True), torch.rand(5, SIGHT).round()
    unknown = torch.full((3, SIGHT), torch.nan)
    mixed = sight_loss(torch.cat((guess, torch.randn(3, SIGHT))), torch.cat((sight, unknown)))
    assert mixed == sight_loss(guess, sight)
    lost = sight_loss(guess, torch.full((5, SIGHT), torch.nan))
    lost.backward()
    assert lost == 0
    assert guess.grad is not None
    assert not guess.grad.any()


@pytest.mark.parametrize(("left_out", "flag"), [("camera", "--camera"), ("command", "--cmd")])
def test_a_flight_without_it_is_one_clear_error(
    flown: Flown, tmp_path: Path, left_out: str, flag: str
) -> None:
    with pytest.raises(ReplayError, match=f"has no topic of the {left_out}.*{flag}"):
        convert(flown.path, tmp_path, CAMERA_AND_IMU, Topics.of({left_out: NONE}), Pieces())
    assert list(tmp_path.iterdir()) == []


def test_commands_that_are_none_give_no_episode(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", events())
    (tmp_path / "out").mkdir()
    with pytest.raises(ReplayError, match="gives no episode"):
        convert(path, tmp_path / "out", CAMERA_AND_IMU, Topics(), Pieces())
    assert list((tmp_path / "out").iterdir()) == []


def test_commands_in_the_world_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", events())
    end = 3 * SECOND
    with McapWriter(tmp_path / "b.mcap") as writer:
        content = message(
            "geometry_msgs/msg/TwistStamped",
            header=header(end, "map"),
            twist=twist((1.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        )
        writer.write(COMMAND, content, end)
    folder = tmp_path / "bag"
    folder.mkdir()
    path.rename(folder / "bag_0.mcap")
    (tmp_path / "b.mcap").rename(folder / "bag_1.mcap")
    with pytest.raises(ReplayError, match="in frame 'map', not in the body's"):
        convert(folder, tmp_path, CAMERA_AND_IMU, Topics(), Pieces())


def test_a_failure_in_the_middle_leaves_nothing(
    flown: Flown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = Episode.save, []

    def full(episode: Episode, path: Path) -> None:
        saved.append(path)
        if len(saved) == 2:
            raise OSError(28, "No space left on device")
        save(episode, path)

    monkeypatch.setattr(Episode, "save", full)
    with pytest.raises(OSError, match="No space"):
        convert(flown.path, tmp_path, CAMERA_AND_IMU, Topics(), Pieces(longest=1.0, shortest=0.1))
    assert len(saved) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(flown: Flown, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["dataset", "from-bag", str(flown.path), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert f"1 episodes, {len(flown.episode)} events" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["flight_000.npz"]
    for wrong, words in (
        (arguments, "already holds episodes of flight"),
        ([*arguments[:-1], str(tmp_path / "new"), "--cmd", "/none"], "there is no topic /none"),
        (["dataset", "from-bag", "/nowhere.mcap", "--out", str(tmp_path / "new")], "not exist"),
        (["dataset", "to-bag"], "Available subcommands: from-bag"),
        ([*arguments[:-1], str(tmp_path / "new"), "--hold", "0"], "hold must be positive"),
    ):
        assert main(wrong) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(["dataset"]) == 0


def test_the_command_line_makes_episodes_of_any_channels(
    flown: Flown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = PolicyConfig.of_channels(("imu", "odometry", "goal"), units=8)
    model = tmp_path / "model"
    save_bundle(model, PolicyNetwork(config), Manifest("target", config, {}, {}))
    start = ["dataset", "from-bag", str(flown.path), "--out"]
    for name, choice in (
        ("model", ["--model", str(model)]),
        ("channels", ["--channels", "imu", "odometry", "goal", "--goal", "/goal_pose"]),
    ):
        assert main([*start, str(tmp_path / name), *choice]) == 0
        (episode,) = load_folder(tmp_path / name, config.encoders)
        assert equal(episode, flown.episode_of(config.encoders))
    capsys.readouterr()
    for wrong, words in (
        (["--channels", "imu", "telepathy"], "there is no encoder 'telepathy'; choose one of"),
        (["--channels", "imu", "--model", str(model)], "give --model or --channels, not both"),
        (["--channels", "imu", "range", "--range", "none"], "no topic of the range to learn from"),
        (
            ["--channels", "range", "--range", "none"],
            "a controller takes in whose policy reads range",
        ),
    ):
        assert main([*start, str(tmp_path / "new"), *wrong]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_folder_of_episodes_is_checked(flown: Flown, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no episodes"):
        load_folder(tmp_path, CAMERA_AND_IMU)
    flown.episode.save(tmp_path / "a.npz")
    small = (CameraEncoder(camera=PolicyCamera(width=32, height=24)),)
    with pytest.raises(ConfigError, match=r"a\.npz has .* camera of shape \(48, 64, 3\)"):
        load_folder(tmp_path, small)
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(EpisodeError):
        load_folder(tmp_path, CAMERA_AND_IMU)
