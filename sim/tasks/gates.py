"""The task `gates`: fly through a course of gates, in order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scenes.appearance import family_of, sample_weather
from liquid_nav_sim.scenes.scene import Gate, Scene, Shape, Solid
from liquid_nav_sim.tasks.base import Attempt, Task, graded

GATES = (2, 4, 6)
"""Gates of the course at difficulty 0, 1/2 and 1."""
LEG = (5.0, 7.0)
"""Horizontal distance between gates, and from the start to the first gate, metres."""
TURN = (math.radians(10), math.radians(25), math.radians(40))
"""Largest turn from leg to leg, radians, at difficulty 0, 1/2 and 1: the next gate is in view of a
vehicle that flies along the present leg."""
SKEW = (0.0, math.radians(10), math.radians(25))
"""Largest angle between a gate's axis and the bisector of its legs, radians."""
MARGIN = (1.0, 0.7, 0.5)
"""Gap on either side of a vehicle in the middle of a gate, metres."""
CLIMB = (0.1, 0.3, 0.5)
"""Largest difference in height between two gates, metres."""
GATE_HEIGHT = (1.3, 2.3)
"""Height of the centre of an opening, metres."""
BEAM = (0.12, 0.2)
"""Thickness of the frame, metres."""
LANE = 3.0
"""Smallest distance of each leg from the gates that it does not join, metres."""

_ASPECT, _HIGHEST = 0.8, 1.8  # height of an opening over its width; its largest height, metres


@dataclass(frozen=True)
class GatesTask(Task):
    """Fly through every gate from its front, in order."""

    name: ClassVar[str] = "gates"

    time_limit: float = 40.0

    def sample(self, rng: np.random.Generator, appearance: str, hull: float) -> Scene:
        """Draw a course that does not cross itself; the same stream gives the same scene."""
        look = sample_weather(rng, appearance)
        paint = family_of(appearance).gates(rng, look)
        start = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(1.2, 1.8)])
        yaw = float(rng.uniform(-np.pi, np.pi))
        while True:
            places = self._places(rng, start, yaw)
            if _is_open(places):
                break
        gates = self._gates(rng, places, hull)
        colour, beam = paint.sample(rng), float(rng.uniform(*BEAM))
        frames = (solid for gate in gates for solid in frame(gate, beam, colour))
        return Scene(start, yaw, look, obstacles=tuple(frames), gates=gates)

    def attempt(self, scene: Scene) -> "GatesAttempt":
        """Begin an attempt to fly through the scene's gates."""
        if not scene.gates:
            raise SimulationError("the task needs a scene with gates, this one has none")
        return GatesAttempt(scene)

    def _places(
        self, rng: np.random.Generator, start: NDArray[np.float64], yaw: float
    ) -> NDArray[np.float64]:
        """Draw the start and the centres of the gates, metres, world ENU, shape (G + 1, 3)."""
        turn, climb = (graded(self.difficulty, *grades) for grades in (TURN, CLIMB))
        places = [start]
        for _ in range(round(graded(self.difficulty, *GATES))):
            yaw += rng.uniform(-turn, turn)
            leg = rng.uniform(*LEG)
            x, y, z = places[-1].tolist()
            height = float(np.clip(z + rng.uniform(-climb, climb), *GATE_HEIGHT))
            places.append(np.array([x + leg * math.cos(yaw), y + leg * math.sin(yaw), height]))
        return np.array(places)

    def _gates(
        self, rng: np.random.Generator, places: NDArray[np.float64], hull: float
    ) -> tuple[Gate, ...]:
        skew, margin = (graded(self.difficulty, *grades) for grades in (SKEW, MARGIN))
        legs = np.diff(places, axis=0)[:, :2]
        legs /= np.linalg.norm(legs, axis=1, keepdims=True)
        # No leg follows the last gate.
        ways = legs + np.vstack((legs[1:], legs[-1:]))
        width = 2 * (hull + margin)
        height = min(_ASPECT * width, _HIGHEST)
        return tuple(
            Gate(place, math.atan2(y, x) + rng.uniform(-skew, skew), width, height)
            for place, (x, y) in zip(places[1:], ways.tolist(), strict=True)
        )


def frame(gate: Gate, beam: float, colour: tuple[float, float, float]) -> tuple[Solid, ...]:
    """Build the solids around a gate's opening: posts left and right, beams above and below.

    Args:
        gate: the opening.
        beam: thickness, metres.
        colour: RGB in [0, 1].
    """
    left = np.array([-math.sin(gate.yaw), math.cos(gate.yaw), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    top = float(gate.position[2]) + gate.height / 2 + beam
    # The posts stand on the ground, the beams lie between them.
    foot = gate.position * (1.0, 1.0, 0.0)
    across = (gate.width + beam) / 2 * left
    along = (gate.height + beam) / 2 * up
    post, bar = (beam, beam, top), (beam, gate.width, beam)
    return (
        Solid(Shape.BOX, foot + across + top / 2 * up, post, colour, gate.yaw),
        Solid(Shape.BOX, foot - across + top / 2 * up, post, colour, gate.yaw),
        Solid(Shape.BOX, gate.position + along, bar, colour, gate.yaw),
        Solid(Shape.BOX, gate.position - along, bar, colour, gate.yaw),
    )


class GatesAttempt(Attempt):
    """Progress is metres along the course: its legs to the next gate minus the distance to it.

    Attributes:
        passed: number of gates passed.
    """

    def __init__(self, scene: Scene) -> None:
        self._gates = scene.gates
        places = [scene.start_position, *(gate.position for gate in scene.gates)]
        self._along = np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1)).tolist()
        self.passed = 0
        self.succeeded = False
        self._place: Sequence[float] = scene.start_position.tolist()
        self.update(self._place, 0.0)

    def update(self, position: Sequence[float], time: float) -> None:
        """Check whether the vehicle has passed the next gate since the last update."""
        if self.succeeded:
            return
        before, self._place = self._place, position
        if _passes(self._gates[self.passed], before, self._place):
            self.passed += 1
            self.succeeded = self.passed == len(self._gates)
        ahead = min(self.passed, len(self._gates) - 1)
        self.goal = self._gates[ahead].position
        self.progress = self._along[ahead] - math.dist(self._place, self.goal.tolist())


def _passes(gate: Gate, before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether a straight step from before to after (3,) goes through the opening, front to back."""
    c, s = math.cos(gate.yaw), math.sin(gate.yaw)
    gx, gy, gz = gate.position.tolist()
    start, end = (c * (x - gx) + s * (y - gy) for x, y, _ in (before, after))
    if not start < 0 <= end:
        return False
    share = start / (start - end)
    x, y, z = (a + share * (b - a) for a, b in zip(before, after, strict=True))
    aside, above = c * (y - gy) - s * (x - gx), z - gz
    return bool(abs(aside) < gate.width / 2 and abs(above) < gate.height / 2)


def _is_open(places: NDArray[np.float64]) -> bool:
    """Whether every leg of a course (G + 1, 3) keeps clear of the gates that it does not join."""
    level = places[:, :2]
    for leg, (start, end) in enumerate(pairwise(level)):
        for other, place in enumerate(level):
            if other in (leg, leg + 1):
                continue
            way = end - start
            nearest = start + np.clip((place - start) @ way / (way @ way), 0, 1) * way
            if np.linalg.norm(place - nearest) < LANE:
                return False
    return True
