"""Flights from above."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from liquid_nav.evaluation.flight import Flight
from liquid_nav.evaluation.plots import PANELS, _panel, plot_flights
from liquid_nav.evaluation.view import OUTCOME_COLOURS
from liquid_nav.events import Channel
from liquid_nav_sim.tasks.registry import TASKS, make_task
from liquid_nav_sim.tasks.target import sample_target_scene
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


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_panel_shows_what_a_task_is_about(name: str) -> None:
    task = make_task(name, 1.0)
    scene = task.sample(np.random.default_rng(3), "train", 0.18)
    shown = replace(flight(0), scene=scene, track=np.zeros((5, 3)))
    axes = Figure().add_subplot()
    _panel(axes, shown, None)
    lines = [np.stack(line.get_data(), axis=1) for line in axes.lines]
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()

    def drawn(points: np.ndarray) -> bool:
        inside = (points > [west, south]).all() and (points < [east, north]).all()
        return inside and any(
            len(line) == len(points) and np.allclose(line, points) for line in lines
        )

    assert len(axes.patches) == len(scene.solids)
    for gate in scene.gates:
        left = gate.width / 2 * np.array([-np.sin(gate.yaw), np.cos(gate.yaw)])
        assert drawn(gate.position[:2] + np.array([left, -left]))
    if scene.route is not None:
        times = np.arange(0.0, shown.duration + 0.1, 0.1)
        assert drawn(np.array([scene.target_position(time) for time in times])[:, :2])


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
