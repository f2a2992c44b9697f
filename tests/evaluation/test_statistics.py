"""Figures over flights."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.flight import Flight
from liquid_nav.evaluation.statistics import Summary, mcnemar, wilson
from liquid_nav.events import Channel
from liquid_nav_sim.tasks.target import sample_target_scene
from liquid_nav_sim.world import Outcome

KEYS = [
    "episodes",
    "success",
    "collision",
    "timeout",
    "wilson95",
    "seed",
    "commands_sha256",
    "realtime_factor",
    "event_to_command_us",
    "flights",
]


def flight(seed: int, outcome: Outcome, camera: list[float], imu: list[float]) -> Flight:
    """A flight of 6 s that took 2 s."""
    return Flight(
        seed=seed,
        scene=sample_target_scene(np.random.default_rng(seed)),
        outcome=outcome,
        duration=6.0,
        wall=2.0,
        track=np.array([[0.0, 0.0, 1.0], [3.0, 4.0, 1.0], [3.0, 4.0, 2.0]]),
        min_clearance=0.5,
        event_to_command={Channel.CAMERA: camera, Channel.IMU: imu},
        digest=hashlib.sha256(bytes([seed])).digest(),
    )


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 50), (1, 50), (44, 50), (49, 50), (50, 50), (7, 9999)]
)
def test_wilson_agrees_with_scipy(successes: int, n: int) -> None:
    reference = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n, z=1.959963984540054) == pytest.approx(
        (reference.low, reference.high), abs=1e-12
    )
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1


def test_wilson_of_nothing_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ConfigError, match="successes"):
        wilson(successes, n)


def test_summary_counts_and_measures(tmp_path: Path) -> None:
    flights = [
        flight(3, Outcome.SUCCESS, [100.0], [10.0, 20.0]),
        flight(4, Outcome.TIMEOUT, [300.0], [30.0]),
        flight(5, Outcome.SUCCESS, [200.0], []),
    ]
    Summary.of(flights, 3).save(tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert list(result) == KEYS
    assert (
        result["commands_sha256"] == hashlib.sha256(b"".join(f.digest for f in flights)).hexdigest()
    )
    assert [f["commands_sha256"] for f in result["flights"]] == [f.digest.hex() for f in flights]
    assert (result["episodes"], result["seed"]) == (3, 3)
    assert (result["success"], result["collision"], result["timeout"]) == (2, 0, 1)
    assert result["wilson95"] == pytest.approx(wilson(2, 3))
    assert result["realtime_factor"] == 3.0
    assert result["event_to_command_us"]["camera"] == {"p50": 200.0, "p99": 298.0}
    assert result["event_to_command_us"]["imu"]["p50"] == 20.0
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_order_of_flights_enters_the_hash() -> None:
    a, b = (flight(seed, Outcome.SUCCESS, [], []) for seed in (1, 2))
    assert Summary.of([a, b], 1).commands_sha256 != Summary.of([b, a], 1).commands_sha256


def test_a_single_flight_has_its_own_hash() -> None:
    alone = flight(1, Outcome.SUCCESS, [], [])
    assert Summary.of([alone], 1).commands_sha256 == alone.digest.hex()


def test_summary_of_no_flight_is_legal() -> None:
    result = Summary.of([], 7).to_dict()
    assert list(result) == KEYS
    assert result["wilson95"] == [0.0, 1.0]
    assert result["realtime_factor"] is None
    assert result["event_to_command_us"] == {
        "camera": {"p50": None, "p99": None},
        "imu": {"p50": None, "p99": None},
    }


def test_path_length_follows_the_track() -> None:
    assert flight(1, Outcome.SUCCESS, [], []).path_length == pytest.approx(6.0)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 9), (9, 3), (7, 7), (40, 61)])
def test_mcnemar_is_the_binomial_test_of_the_flights_that_differ(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ConfigError, match="needs counts >= 0, got -1 and 2"):
        mcnemar(-1, 2)
