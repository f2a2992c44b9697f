"""The ring of the black box, which needs no ROS: bounded in time and in memory."""

import io
import os
import tracemalloc

import numpy as np

from liquid_nav.command import Command
from liquid_nav.events import CameraFrame, ImuSample
from liquid_nav.recording.flight_writer import Drain
from liquid_nav.recording.settings import Reconfigured
from liquid_nav.ros.controller.recorders.black_box import Ring
from liquid_nav.safety.layer import SafetyConfig
from support import frame, sample


def test_it_keeps_the_last_seconds_in_order() -> None:
    ring = Ring(10.0, 10**9)
    for second in range(100):
        ring.add(sample(second, seed=second), float(second))
        ring.add(Command(second), float(second))
    held = [entry.item for entry in ring.snapshot()]
    assert len(held) == len(ring) == 22
    assert ring.span(99.0) == 10.0
    assert [e.stamp // 10**9 for e in held if isinstance(e, ImuSample)] == list(range(89, 100))
    assert [e.stamp for e in held if isinstance(e, Command)] == list(range(89, 100))


def test_it_never_takes_more_than_its_limit() -> None:
    ring = Ring(1e9, 1_000_000)
    for k in range(2000):
        ring.add(frame(k), float(k))
        assert ring.size <= 1_000_000
    assert len(ring) == 1_000_000 // (1000 + 48 * 64 * 3)
    ring.clear(SafetyConfig())
    assert (len(ring), ring.size, ring.snapshot()) == (0, 0, [])
    ring.add(frame(0.0), 0.0)
    assert ring.size == 1000 + 48 * 64 * 3


def test_an_entry_larger_than_the_limit_is_not_kept() -> None:
    ring = Ring(1e9, 5000)
    ring.add(frame(0.0), 0.0)
    assert (len(ring), ring.size) == (0, 0)


def test_an_image_does_not_keep_the_large_one_that_it_is_a_view_of() -> None:
    large = np.zeros((960, 1280, 3), np.uint8)
    ring = Ring(1e9, 10**9)
    ring.add(CameraFrame(0, 0, large[::20, ::20]), 0.0)
    (held,) = [entry.item for entry in ring.snapshot()]
    assert isinstance(held, CameraFrame)
    assert held.image.base is not None
    assert held.image.base.nbytes == 48 * 64 * 3


def test_what_it_says_to_hold_is_no_less_than_what_it_takes() -> None:
    tracemalloc.start()
    try:
        ring = Ring(1e9, 10**9)
        before = tracemalloc.get_traced_memory()[0]
        for k in range(3000):
            ring.add(sample(k, seed=k), float(k))
            ring.add(Command(k * 10**9, k + 0.1, k + 0.2, k + 0.3, k + 0.4), float(k))
            if k % 10 == 0:
                ring.add(frame(k, seed=k), float(k))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 * ring.size < taken <= ring.size


def test_settings_that_are_still_in_force_outlive_their_entry() -> None:
    ring = Ring(10.0, 10**9)
    first, second = SafetyConfig(recovery=1.0), SafetyConfig(recovery=2.0)
    ring.clear(first)
    ring.add(sample(0), 0.0)
    ring.add(Reconfigured(1, second), 1.0)
    ring.add(sample(10), 10.5)
    assert ring.safety == first
    assert len(ring) == 2
    ring.add(sample(12), 12.0)
    assert ring.safety == second
    ring.clear(first)
    assert ring.safety == first


def test_a_pipe_is_drained_before_anyone_reads() -> None:
    """The node may end as soon as its words are taken, however slow the writer is."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as source:
        drain = io.BufferedReader(Drain(source))
        words = np.random.default_rng(0).bytes(1 << 20)
        with os.fdopen(theirs, "wb") as sink:
            sink.write(words)  # A pipe holds a sixteenth of it: unread, this would wait for ever.
        assert drain.read(7) + drain.read() == words
        assert drain.read() == b""
