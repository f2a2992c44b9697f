"""One model of a replay's report: what it says of the replay, and what text and JSON make of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from liquid_nav.bags.records import Damage
from liquid_nav.command import Mode
from liquid_nav.events import Channel
from liquid_nav.onboard import Policy
from liquid_nav.replay.report.console import print_changed, print_run
from liquid_nav.replay.report.json import write_json
from liquid_nav.replay.report.model import ReplayReport, RunReport, TopicLosses, run_report
from liquid_nav.replay.run import Replay, compare_replays
from replay.replay_support import events, record, replayed


@pytest.fixture
def result(flow_policy: Policy, tmp_path: Path) -> Replay:
    record(tmp_path / "flight.mcap", flow_policy, events(0.5))
    return replayed(tmp_path / "flight.mcap", flow_policy)


@pytest.fixture
def run(result: Replay) -> RunReport:
    return run_report(result)


def printed(run: RunReport) -> str:
    console = Console(highlight=False, width=80)
    with console.capture() as capture:
        print_run(console, run)
    return capture.get()


def test_the_model_says_what_the_replay_gave(result: Replay, run: RunReport) -> None:
    assert run.commands_sha256 == result.digest.hex()
    assert list(run.channels) == list(run.channel_times) == [Channel.CAMERA, Channel.IMU]
    assert run.events == sum(c.events for c in run.channels.values())
    assert sum(run.modes.values()) == pytest.approx(run.duration)
    (failsafe,) = run.failsafes
    assert (failsafe.start, failsafe.mode) == (0.0, Mode.HOVER)
    assert failsafe.duration == pytest.approx(run.modes[Mode.HOVER])
    assert run.comparison is not None
    assert run.comparison.identical


def test_losses_are_those_of_the_recording(result: Replay) -> None:
    damage = Damage()
    damage.read.update({"/whole": 5, "/cut": 3, "/bad": 2})
    damage.declared.update({"/whole": 5, "/cut": 4, "/bad": 2})
    damage.undecodable["/bad"], damage.unreadable = 1, 10
    losses = run_report(replace(result, damage=damage)).losses
    assert losses.total == damage.lost == 1 + 10 + 1
    assert losses.topics == (TopicLosses("/bad", 2, 2, 1), TopicLosses("/cut", 4, 3, 0))


def test_text_and_json_tell_the_same(run: RunReport, tmp_path: Path) -> None:
    write_json(tmp_path / "replay.json", ReplayReport("flight", "model", run))
    content = json.loads((tmp_path / "replay.json").read_text())
    assert list(content) == ["flight", "model", "replay"]
    figures, text = content["replay"], printed(run)
    assert f"commands_sha256 {figures['commands_sha256']}" in text
    assert f"{figures['events']} events replayed" in text
    (failsafe,) = figures["failsafes"]
    assert f"{failsafe['end_s']:9.3f} s  {failsafe['mode']}: {failsafe['reason']}" in text
    for name, channel in figures["channels"].items():
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert line.split()[1:3] == [str(channel["events"]), f"{channel['rate']:.1f}"]


def test_a_changed_replay_is_compared_with_the_one_before(
    result: Replay, run: RunReport, tmp_path: Path
) -> None:
    other = replace(result, commands=result.commands + 0.25)
    changed = run_report(other, compare_replays(result, other))
    assert changed.comparison is not None
    # Where events arrive at one instant, the last of their commands is the other one's.
    assert changed.comparison.rms == pytest.approx(np.full(4, 0.25), rel=0.01)
    console = Console(highlight=False, width=80)
    with console.capture() as capture:
        print_changed(console, changed)
    assert f"RMS error vx {changed.comparison.rms[0]:.4f} (max" in capture.get()
    write_json(tmp_path / "replay.json", ReplayReport("flight", "model", run, changed))
    content = json.loads((tmp_path / "replay.json").read_text())
    assert content["changed"]["comparison"]["rms"]["vx"] == changed.comparison.rms[0]
    assert content["replay"]["comparison"]["identical"] is True


def test_what_is_not_finite_is_a_dash_or_null(run: RunReport, tmp_path: Path) -> None:
    nan = float("nan")
    channels = {Channel.IMU: replace(run.channels[Channel.IMU], rate=nan, jitter=nan)}
    run = replace(run, channels=channels, wall=0.0)
    write_json(tmp_path / "replay.json", ReplayReport("flight", "model", run))
    imu = json.loads((tmp_path / "replay.json").read_text())["replay"]["channels"]["imu"]
    assert (imu["rate"], imu["jitter"]) == (None, None)
    (line,) = [line for line in printed(run).splitlines() if line.startswith("imu")]
    assert line.split()[2:4] == ["-", "-"]


@pytest.mark.parametrize("width", [30, 80, 120])
def test_no_figure_is_cut_however_narrow_the_terminal(run: RunReport, width: int) -> None:
    imu = replace(
        run.channels[Channel.IMU], latency_p50=1500.25, latency_p99=86400.5, latency_max=1e6
    )
    console = Console(highlight=False, width=width)
    with console.capture() as capture:
        print_run(console, replace(run, channels={Channel.IMU: imu}))
    text = capture.get()
    assert "\u2026" not in text
    for figure in ("1500250.0", "86400500.0", "1000000000.0"):
        assert figure in text


def test_a_damaged_recording_without_a_count_is_no_whole_one(run: RunReport) -> None:
    assert "messages lost: 0\n" in printed(run)
    damaged = replace(run, losses=replace(run.losses, notes=("it is cut short",)))
    assert "messages lost: 0 known, but the recording is damaged\n" in printed(damaged)
