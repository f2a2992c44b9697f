"""Replays by stamps whose clocks are not those of the others, or that are broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from liquid_nav.bags.bag import Recording
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND, Channel, Event
from liquid_nav.messages.plug import writable_message
from liquid_nav.onboard import Policy
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.run import Replay, replay
from liquid_nav.replay.timeline import Cut
from liquid_nav.replay.topics import Topics, find
from support import frame, sample

WALL = 1_700_000_000 * SECOND
BOOT = 100 * SECOND
LATENCY = {Channel.IMU: 0.002, Channel.CAMERA: 0.03}

Clock = Callable[[int, int], int]
"""What a driver writes as its stamp, by the true one in ns and the number of the message."""


def true(stamp: int, number: int) -> int:
    return stamp


def since_boot(stamp: int, number: int) -> int:
    return stamp - WALL + BOOT


def record_stamps(path: Path, clocks: dict[Channel, Clock], log: Clock = true) -> None:
    """One second of IMU at 100 Hz and camera at 20 Hz, with stamps by the clock of each."""
    flight: list[Event] = []
    for k in range(100):
        flight.append(sample(k / 100, LATENCY[Channel.IMU], seed=k))
        if k % 5 == 0:
            flight.append(frame(k / 100, LATENCY[Channel.CAMERA], seed=k))
    counts = dict.fromkeys(clocks, 0)
    with McapWriter(path) as writer:
        for event in sorted(flight, key=lambda event: event.arrival):
            kind = writable_message(event.channel)
            assert kind is not None
            number = counts[event.channel]
            counts[event.channel] += 1
            stamp = clocks[event.channel](WALL + event.stamp, number)
            content = message(kind.type, **kind.encode(event))
            content.header.stamp = split(stamp)
            writer.write(kind.topic, content, log(WALL + event.arrival, number))


def split(stamp: int) -> Any:
    """A stamp in ns as a message; a negative one stands for a broken message."""
    if stamp < 0:
        return message("builtin_interfaces/msg/Time", sec=WALL // SECOND, nanosec=-stamp)
    seconds, rest = divmod(stamp, SECOND)
    return message("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest)


def by_stamps(path: Path, policy: Policy, **options: Any) -> tuple[Replay, list[Event]]:
    seen: list[Event] = []
    with Recording(path) as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        cut = Cut(clock="stamp", **options)
        result = replay(
            recording, topics, policy, cut=cut, watch=lambda event, *_: seen.append(event)
        )
    return result, seen


def misaligned(seen: list[Event]) -> int:
    """Largest distance in ns between an arrival and the true stamp of its measurement."""
    worst = 0
    for channel, period in ((Channel.IMU, SECOND // 100), (Channel.CAMERA, SECOND // 20)):
        events = [event for event in seen if event.channel == channel]
        assert len(events) == SECOND // period
        truth = [WALL + k * period for k in range(len(events))]
        worst = max(worst, *(abs(e.arrival - t) for e, t in zip(events, truth, strict=True)))
    return worst


OTHERS: dict[str, Clock] = {
    "since boot": since_boot,
    "50 years ahead": lambda stamp, number: stamp + 400_000_000 * SECOND,
    "two seconds behind": lambda stamp, number: stamp - 2 * SECOND,
    "zero": lambda stamp, number: 0,
    "always the same": lambda stamp, number: WALL,
    "one is zero": lambda stamp, number: 0 if number == 7 else stamp,
    "the first is zero": lambda stamp, number: 0 if number == 0 else stamp,
    "one is far ahead": lambda stamp, number: stamp + 10**17 * (number == 7),
    "one has too many nanoseconds": lambda stamp, number: -(10**9) if number == 7 else stamp,
    "set in flight": lambda stamp, number: since_boot(stamp, number) if number < 12 else stamp,
    "starts again": lambda stamp, number: (stamp - WALL) % (SECOND // 2) + BOOT,
}


@pytest.mark.parametrize("channel", [Channel.IMU, Channel.CAMERA])
@pytest.mark.parametrize("name", OTHERS)
def test_stamps_of_another_clock_are_aligned_and_broken_ones_replaced(
    flow_policy: Policy, tmp_path: Path, channel: Channel, name: str
) -> None:
    clocks = {Channel.IMU: true, Channel.CAMERA: true, channel: OTHERS[name]}
    record_stamps(tmp_path / "f.mcap", clocks)
    result, seen = by_stamps(tmp_path / "f.mcap", flow_policy)
    lost = 1 if name == "one has too many nanoseconds" else 0
    assert len(seen) == 120 - lost
    if not lost:
        # The log times say it to the latency of the topic, which nothing else could tell.
        assert misaligned(seen) <= 0.031 * SECOND
    arrivals = [event.arrival for event in seen]
    assert arrivals == sorted(arrivals)
    # No more commands than a flight of this length has.
    assert len(result.times) < 200
    assert result.duration < 1.1
    topic = f"/{'imu/data_raw' if channel == Channel.IMU else 'camera/image_raw'}"
    assert any(topic in note for note in result.damage.notes)


def test_stamps_of_one_clock_are_taken_as_they_are(flow_policy: Policy, tmp_path: Path) -> None:
    for name, clock in (("wall", true), ("boot", since_boot)):
        record_stamps(tmp_path / f"{name}.mcap", {Channel.IMU: clock, Channel.CAMERA: clock})
    wall, boot = (by_stamps(tmp_path / f"{name}.mcap", flow_policy) for name in ("wall", "boot"))
    assert misaligned(wall[1]) == 0
    assert [e.arrival - BOOT for e in boot[1]] == [e.arrival - WALL for e in wall[1]]
    assert wall[0].damage.notes == boot[0].damage.notes == []


def test_the_clock_of_the_logger_may_leap(flow_policy: Policy, tmp_path: Path) -> None:
    def leaps(time: int, number: int) -> int:
        return time + 7200 * SECOND * (time >= WALL + SECOND // 2)

    record_stamps(tmp_path / "f.mcap", {Channel.IMU: true, Channel.CAMERA: true}, leaps)
    result, seen = by_stamps(tmp_path / "f.mcap", flow_policy)
    assert misaligned(seen) == 0
    assert len(result.times) < 200


def test_what_cannot_be_aligned_is_refused(flow_policy: Policy, tmp_path: Path) -> None:
    def stands(time: int, number: int) -> int:
        return WALL

    def nothing(stamp: int, number: int) -> int:
        return 0

    record_stamps(tmp_path / "a.mcap", {Channel.IMU: since_boot, Channel.CAMERA: true}, stands)
    with pytest.raises(ReplayError, match="cannot be aligned: leave one of the topics out"):
        by_stamps(tmp_path / "a.mcap", flow_policy)
    record_stamps(tmp_path / "b.mcap", {Channel.IMU: nothing, Channel.CAMERA: nothing})
    with pytest.raises(ReplayError, match="has a stamp of its own: replay with --clock log"):
        by_stamps(tmp_path / "b.mcap", flow_policy)


def test_a_clock_that_leaps_for_ever_does_not_cost_for_ever(
    flow_policy: Policy, tmp_path: Path
) -> None:
    """By log times: what is asked for in silences is bounded for the whole recording."""

    def leaps(time: int, number: int) -> int:
        return time + 7200 * SECOND * (number // 4)

    record_stamps(tmp_path / "f.mcap", {Channel.IMU: true, Channel.CAMERA: true}, leaps)
    with Recording(tmp_path / "f.mcap") as recording:
        topics = find(recording.topics, Topics(), comparing=False)
        result = replay(recording, topics, flow_policy)
    assert len(result.times) < 3600 * 20 + 1000
