"""Flights from above."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_nav.evaluation.flight import Flight
from liquid_nav.evaluation.plots import PANELS, plot_flights
from liquid_nav.evaluation.view import OUTCOME_COLOURS
from liquid_nav.events import Channel
from liquid_nav_sim.target import sample_target_scene
from liquid_nav_sim.world import Outcome


def flight(seed: int) -> Flight:
    """Straight from the start to the target."""
    scene = sample_target_scene(np.random.default_rng(seed))
    assert scene.target is not None
    share = np.linspace(0, 0.9, 40)[:, None]
    return Flight(
        seed=seed,
        scene=scene,
        outcome=tuple(Outcome)[seed % 3],
        duration=5.0,
        wall=1.0,
        track=scene.start_position + share * (scene.target.position - scene.start_position),
        min_clearance=0.5,
        event_to_command={Channel.CAMERA: [], Channel.IMU: []},
    )


def coloured(image: np.ndarray, outcome: Outcome) -> int:
    """Pixels in the colour of an outcome."""
    gap = np.abs(image[..., ::-1].astype(int) - OUTCOME_COLOURS[outcome]).max(axis=2)
    return int(np.count_nonzero(gap < 12))


@pytest.mark.parametrize("count", [1, 5, PANELS + 1])
def test_tracks_have_the_colours_of_their_outcomes(tmp_path: Path, count: int) -> None:
    path = tmp_path / "flights.png"
    flights = [flight(seed) for seed in range(count)]
    plot_flights(flights, path)
    image = cv2.imread(str(path))
    assert image is not None
    assert min(image.shape[:2]) >= 400
    for outcome in Outcome:
        assert (coloured(image, outcome) > 30) == any(f.outcome is outcome for f in flights)
    assert os.listdir(tmp_path) == ["flights.png"]


def test_no_flight_is_a_picture_too(tmp_path: Path) -> None:
    plot_flights([], tmp_path / "flights.png")
    assert cv2.imread(str(tmp_path / "flights.png")) is not None


def test_a_failure_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flights.png"
    path.write_bytes(b"old")

    def fail(self: object, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("liquid_nav.evaluation.plots.Figure.savefig", fail)
    with pytest.raises(OSError, match="no space"):
        plot_flights([flight(0)], path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["flights.png"]
