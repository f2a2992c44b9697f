"""A course of gates: its frames leave the opening free, and only a passage in order counts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.scene import Gate, Scene
from liquid_nav_sim.tasks.gates import (
    BEAM,
    GATE_HEIGHT,
    LANE,
    LEG,
    MARGIN,
    SKEW,
    TURN,
    GatesAttempt,
    GatesTask,
    frame,
)

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, difficulty: float = 1.0, hull: float = 0.18) -> Scene:
    return GatesTask(difficulty=difficulty).sample(np.random.default_rng(seed), "train", hull)


def through(gate: Gate, along: float, aside: float = 0.0, above: float = 0.0) -> np.ndarray:
    """A point by a gate: metres behind its plane, left of its middle, above it."""
    c, s = math.cos(gate.yaw), math.sin(gate.yaw)
    return gate.position + np.array([c * along - s * aside, s * along + c * aside, above])


@settings(max_examples=30, deadline=None)
@given(seed=seeds, difficulty=st.floats(0, 1), hull=st.floats(0.05, 0.5))
def test_openings_are_free_and_wide_enough(seed: int, difficulty: float, hull: float) -> None:
    scene = draw(seed, difficulty, hull)
    for gate in scene.gates:
        assert gate.width >= 2 * (hull + MARGIN[2]) - 1e-9
        assert gate.height >= 2 * 0.3
        rim = 1e-6
        for aside in (-gate.width / 2 + rim, 0, gate.width / 2 - rim):
            for above in (-gate.height / 2 + rim, 0, gate.height / 2 - rim):
                for along in (-0.5, 0, 0.5):
                    point = through(gate, along, aside, above)
                    assert min(o.distance(point) for o in scene.obstacles) >= 0
        # There is air below the lower beam.
        assert gate.position[2] - gate.height / 2 > BEAM[1]


def test_a_frame_closes_its_opening_on_all_sides() -> None:
    gate = Gate(np.array([1.0, 2.0, 1.8]), 0.7, 1.4, 1.1)
    solids = frame(gate, 0.15, (1.0, 0.5, 0.0))
    for aside, above in ((0.7, 0), (-0.7, 0), (0, 0.55), (0, -0.55), (0.7, 0.55), (-0.7, -0.55)):
        just_outside = through(gate, 0.0, 1.02 * aside, 1.02 * above)
        assert min(solid.distance(just_outside) for solid in solids) < 0
    # The posts stand on the ground.
    assert [s.position[2] - s.size[2] / 2 for s in solids[:2]] == pytest.approx([0, 0])


@settings(max_examples=30, deadline=None)
@given(seed=seeds, difficulty=st.floats(0, 1))
def test_the_next_gate_is_ahead_and_no_other_in_between(seed: int, difficulty: float) -> None:
    scene = draw(seed, difficulty)
    places = np.array([scene.start_position, *(gate.position for gate in scene.gates)])
    legs = np.diff(places, axis=0)
    bearings = np.concatenate(([scene.start_yaw], np.arctan2(legs[:, 1], legs[:, 0])))
    turns = np.angle(np.exp(1j * np.diff(bearings)))
    assert np.abs(turns).max() <= TURN[2] + 1e-9 < math.pi / 4
    level = np.linalg.norm(legs[:, :2], axis=1)
    assert LEG[0] - 1e-9 <= level.min() <= level.max() <= LEG[1] + 1e-9
    for gate, bearing in zip(scene.gates, bearings[1:], strict=True):
        off = abs(np.angle(np.exp(1j * (gate.yaw - bearing))))
        assert off <= TURN[2] / 2 + SKEW[2] + 1e-9
        assert GATE_HEIGHT[0] <= gate.position[2] <= GATE_HEIGHT[1]
    for leg in range(len(legs)):
        for share in np.linspace(0, 1, 20):
            point = places[leg] + share * legs[leg]
            for other, place in enumerate(places):
                if other not in (leg, leg + 1):
                    assert np.linalg.norm((point - place)[:2]) >= LANE - 1e-9


def test_difficulty_is_more_and_narrower_gates() -> None:
    scenes = [draw(0, difficulty) for difficulty in (0.0, 0.5, 1.0)]
    assert [len(scene.gates) for scene in scenes] == [2, 4, 6]
    widths = [scene.gates[0].width for scene in scenes]
    assert widths[0] > widths[1] > widths[2]


def fly_along(attempt: GatesAttempt, *points: np.ndarray) -> GatesAttempt:
    for time, point in enumerate(points, 1):
        attempt.update(point, float(time))
    return attempt


def test_gates_count_in_order_from_the_front_within_the_opening() -> None:
    scene = draw(2)
    first, second = scene.gates[:2]

    def attempt(*points: np.ndarray) -> int:
        return fly_along(GatesAttempt(scene), *points).passed

    assert attempt(through(first, -1), through(first, 1)) == 1
    half = first.width / 2
    assert attempt(through(first, -1, half - 0.01), through(first, 1, half - 0.01)) == 1
    # Slantwise: what counts is where the plane is crossed.
    assert attempt(through(first, -1, 0.9 * half), through(first, 1, -0.9 * half)) == 1
    assert attempt(through(first, -1, half + 0.01), through(first, 1, half + 0.01)) == 0
    assert attempt(through(first, -1, 0, first.height), through(first, 1, 0, first.height)) == 0
    assert attempt(through(first, -1, half + 1), through(first, 1, half + 1), first.position) == 0
    assert attempt(through(second, -1), through(second, 1)) == 0


def test_passing_all_is_success_and_progress_grows_all_along() -> None:
    scene = draw(2)
    attempt = GatesAttempt(scene)
    assert attempt.progress == pytest.approx(0)
    place, grown = scene.start_position, [attempt.progress]
    for number, gate in enumerate(scene.gates):
        assert not attempt.succeeded
        assert attempt.passed == number
        assert np.array_equal(attempt.goal, gate.position)
        for share in np.linspace(0, 1, 200)[1:]:
            attempt.update(place + share * (through(gate, 0.05) - place), 0.0)
            grown.append(attempt.progress)
        place = through(gate, 0.05)
    assert attempt.succeeded
    places = [scene.start_position, *(gate.position for gate in scene.gates)]
    length = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
    assert grown[-1] == pytest.approx(length, abs=0.1)
    assert np.diff(grown).min() > -0.1


def test_a_scene_without_gates_is_refused() -> None:
    with pytest.raises(SimulationError, match="has none"):
        GatesTask().attempt(replace(draw(0), gates=()))
