"""Stamps of another clock, mapped onto ours by arrivals."""

import itertools
import random

import numpy as np
import pytest

from liquid_nav.events import SECOND, ImuSample
from liquid_nav.messages.decode import MessageError
from liquid_nav.messages.stamps import WINDOW, ArrivalStamps, raw_stamp, shifted

MS = SECOND // 1000
START = 1_700_000_000 * SECOND


def ages(stamps, arrivals):
    """Age of each message on our clock, ns."""
    clock = ArrivalStamps()
    return [a - s - clock.offset(s, a) for s, a in zip(stamps, arrivals, strict=True)]


def test_a_clock_that_began_at_boot_is_mapped_and_jitter_is_kept_as_age():
    rng = random.Random(1)
    delays = [rng.randrange(5 * MS) for _ in range(2000)]
    stamps = [7 * SECOND + n * 5 * MS for n in range(2000)]
    arrivals = [START + s - 7 * SECOND + d for s, d in zip(stamps, delays, strict=True)]
    found = ages(stamps, arrivals)
    assert min(found) == 0
    late = [age - delay for age, delay in zip(found[100:], delays[100:], strict=True)]
    assert max(map(abs, late)) < 2 * MS


@pytest.mark.parametrize("period", [1, 4])
def test_a_sawtooth_of_ages_as_of_a_lockstep_simulation_stays_fresh(period):
    """Ages of 0.04 to 0.2 s, which made a healthy IMU stale after 0.1 s."""
    arrivals = [START + n * 10 * MS for n in range(2000)]
    stamps = [
        a - 40 * MS - 160 * MS * ((a - START) % (period * SECOND)) // (period * SECOND)
        for a in arrivals
    ]
    assert max(a - s for s, a in zip(stamps, arrivals, strict=True)) > 190 * MS
    assert max(ages(stamps, arrivals)) <= 45 * MS


@pytest.mark.parametrize("rate", [0.9, 1.1])
def test_a_clock_of_another_speed_is_followed(rate):
    arrivals = [START + n * 10 * MS for n in range(1000)]
    stamps = [round((a - START) * rate) for a in arrivals]
    assert max(ages(stamps, arrivals)) <= 26 * MS


def test_a_message_that_is_held_up_is_old_and_later_ones_are_not():
    arrivals = [START + n * 10 * MS for n in range(100)]
    stamps = [a - 2 * MS for a in arrivals]
    arrivals[50] += 9 * MS
    stamps[50] -= 150 * MS
    found = ages(stamps, arrivals)
    assert found[50] == 159 * MS
    assert found[51] == 0


def test_a_leap_of_the_other_clock_is_followed():
    arrivals = [START + n * 10 * MS for n in range(200)]
    stamps = [a - (5 if n < 100 else 900) * SECOND for n, a in enumerate(arrivals)]
    found = ages(stamps, arrivals)
    assert found[99] == 0
    assert all(age == 0 for age in found[100 + WINDOW // (10 * MS) + 1 :])


def test_our_own_clock_may_go_back():
    clock = ArrivalStamps()
    clock.offset(SECOND, START)
    assert clock.offset(2 * SECOND, START - 3600 * SECOND) == START - 3602 * SECOND


class Message:
    def __init__(self, **fields):
        self.__dict__.update(fields)


def test_the_stamp_is_that_of_the_header_or_of_px4():
    header = Message(stamp=Message(sec=3, nanosec=5))
    assert raw_stamp(Message(header=header)) == 3 * SECOND + 5
    assert raw_stamp(Message(timestamp=9, timestamp_sample=7)) == 7000
    assert raw_stamp(Message(timestamp=9)) == 9000
    assert raw_stamp(Message()) is None
    with pytest.raises(MessageError, match="nanosec"):
        raw_stamp(Message(header=Message(stamp=Message(sec=0, nanosec=SECOND))))


def test_an_event_is_shifted_as_a_whole():
    event = ImuSample(10, 30, np.zeros(3), np.ones(3))
    later = shifted(event, START)
    assert (later.stamp, later.arrival, later.latency) == (START + 10, START + 30, 20)


def test_the_estimate_is_the_least_difference_of_the_window():
    rng, clock, kept = random.Random(2), ArrivalStamps(), []
    arrivals = itertools.accumulate(rng.randrange(1, 30) * MS for _ in range(500))
    for arrival in arrivals:
        stamp = arrival - rng.randrange(100) * MS
        kept.append((arrival, arrival - stamp))
        least = min(d for a, d in kept if a >= arrival - WINDOW)
        assert clock.offset(stamp, arrival) == least
