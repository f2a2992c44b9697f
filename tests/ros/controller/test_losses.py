"""Counting of messages that never came, and the choice of those that are dropped; without ROS."""

import itertools
import time

import pytest

from liquid_nav.ros.controller.sensors.losses import Backlog, Losses


def counted(numbers: list[int | None], publishers: int = 1) -> int:
    losses = Losses()
    for number in numbers:
        losses.receive(number, lambda: publishers)
    return losses.lost


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        ([1, 2, 3], 0),
        ([7, 8, 9], 0),  # It publishes for longer than we listen.
        ([1, 2, 5, 6, 10], 5),
        ([1, 2, 3, 1, 2], 0),  # The publisher started again.
        ([1, 5, 1, 4], 5),
        ([None, None], 0),  # A middleware that does not number.
        ([1, 3, None, 3, 5], 2),
    ],
)
def test_a_gap_in_the_numbers_of_a_publisher_is_a_loss(
    numbers: list[int | None], lost: int
) -> None:
    assert counted(numbers) == lost


def test_the_numbers_of_two_publishers_say_nothing() -> None:
    assert counted([1, 500, 2, 501, 3, 502], publishers=2) == 0


def test_a_publisher_that_goes_leaves_no_loss_behind() -> None:
    losses = Losses()
    for number, publishers in ((1, 2), (500, 2), (2, 2), (501, 1), (502, 1), (505, 1)):
        losses.receive(number, lambda n=publishers: n)
    assert losses.lost == 2


def test_what_the_middleware_reports_counts_once() -> None:
    losses = Losses()
    losses.receive(1, lambda: 1)
    losses.report(3)
    assert losses.lost == 3  # Nothing has come since.
    losses.receive(5, lambda: 1)
    assert losses.lost == 3
    losses.receive(10, lambda: 1)
    assert losses.lost == 7


@pytest.mark.parametrize("garbage", [18446744071562067974, -2147483638, 2**31])
def test_an_impossible_report_counts_as_one_message(garbage: int) -> None:
    losses = Losses()
    losses.report(2)
    losses.report(garbage)
    assert losses.lost == 3


def test_what_was_lost_stays_counted_under_a_new_subscription() -> None:
    losses = Losses()
    for number in (1, 4):
        losses.receive(number, lambda: 1)
    losses.report(1)
    losses.start()
    losses.receive(90, lambda: 1)
    losses.report(1)
    assert losses.lost == 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time_ns", lambda: round(now[0] * 1e9))
    return now


def taken(clock: list[float], arrivals: list[float], each: float) -> list[float]:
    """Arrivals of the messages that are taken in when each takes `each` s; s from the start."""
    backlog, start, kept = Backlog(), clock[0], []
    for index, arrival in enumerate(arrivals):
        clock[0] = max(clock[0], start + arrival)
        newest = index + 1 == len(arrivals) or arrivals[index + 1] > clock[0] - start
        if not backlog.drops(round((start + arrival) * 1e9), newest):
            kept.append(arrival)
            clock[0] += each
    return kept


def test_a_burst_is_taken_in_whole(clock: list[float]) -> None:
    bursts = [second for second in (0.0, 1.0, 2.0) for _ in range(200)]
    assert taken(clock, bursts, each=0.002) == bursts


def test_a_flood_is_thinned_evenly_and_stays_new(clock: list[float]) -> None:
    flood = [index / 2000 for index in range(8000)]
    kept = taken(clock, flood, each=0.001)
    late = [arrival for arrival in kept if arrival > 1.5]
    assert len(late) == pytest.approx(2500, abs=50)
    assert max(b - a for a, b in itertools.pairwise(late)) < 0.003


def test_a_process_that_gets_an_eighth_of_a_core_drops_what_would_make_its_channel_stale(
    clock: list[float],
) -> None:
    """3 ms of every 25 ms: without a limit the messages wait for up to `_BURST`, and go stale."""
    backlog, start, waits = Backlog(), clock[0], []
    arrivals = [5 * n for n in range(800)]  # ms
    for now in (ms for ms in range(4000) if ms % 25 < 3):  # One message takes 1 ms.
        waiting = [arrival for arrival in arrivals if arrival <= now]
        for arrival in waiting:
            clock[0] = start + now / 1000
            arrivals.remove(arrival)
            newest = arrival == waiting[-1]
            if not backlog.drops(round((start + arrival / 1000) * 1e9), newest, limit=0.05):
                waits.append(now - arrival)
                break
    assert max(waits) <= 50
    assert len(waits) > 300


def test_the_newest_message_is_never_dropped(clock: list[float]) -> None:
    backlog = Backlog()
    for _ in range(100):
        received = round(clock[0] * 1e9)
        clock[0] += 0.1
        assert not backlog.drops(received, newest=True)


def test_a_middleware_without_times_of_reception_has_nothing_dropped(clock: list[float]) -> None:
    backlog = Backlog()
    for _ in range(100):
        clock[0] += 1.0
        assert not backlog.drops(0, newest=False)
