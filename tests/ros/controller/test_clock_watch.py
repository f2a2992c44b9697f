"""The node's clock against a steady one, without ROS."""

import time

import pytest

from liquid_nav.events import SECOND
from liquid_nav.ros.controller.clock import ClockWatch


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def faults(steady: list[float], looks: list[tuple[float, float]]) -> list[str]:
    """Faults at looks, each a pause on the steady clock and what the other one reads then, s."""
    watch, found = ClockWatch(), []
    for pause, now in looks:
        steady[0] += pause
        found.append(watch.fault(round(now * SECOND)).removeprefix("clock: "))
    return found


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([(0.0, 9.0), (0.1, 9.1), (0.1, 9.2)], ["", "", ""]),
        ([(0.0, 9.0), (0.4, 9.0), (0.2, 9.0), (0.1, 9.1)], ["", "", "stands still", ""]),
        # It runs at a tenth of real time.
        ([(0.0, 9.0), (0.4, 9.04), (0.4, 9.08), (0.4, 9.12)], ["", "", "", ""]),
        ([(0.0, 9.0), (0.1, 8.5), (0.3, 8.8), (0.3, 9.1)], ["", "went back", "went back", ""]),
        ([(0.0, 9.0), (0.1, 8.97), (0.1, 9.1)], ["", "", ""]),
        # The controller starts again by itself.
        ([(0.0, 9.0), (0.1, 2.0), (0.1, 2.1)], ["", "", ""]),
        # The process was stopped, and so was the clock, as far as is known yet.
        ([(0.0, 9.0), (2.0, 9.02), (0.01, 11.0)], ["", "stands still", ""]),
        # The process was stopped, the clock was not.
        ([(0.0, 9.0), (2.0, 11.0)], ["", ""]),
        ([(0.0, 9.0), (0.1, 60.0)], ["", ""]),
    ],
)
def test_a_clock_that_stops_or_goes_back_is_found(
    steady: list[float], looks: list[tuple[float, float]], found: list[str]
) -> None:
    assert faults(steady, looks) == found
