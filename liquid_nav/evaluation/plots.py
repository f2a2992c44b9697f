"""Plots of flights seen from above."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from liquid_nav.evaluation.flight import Flight
from liquid_nav.evaluation.view import OUTCOME_COLOURS
from liquid_nav.files import whole_file
from liquid_nav_sim.scenes.scene import Gate, Scene, Shape, Solid
from liquid_nav_sim.world import Outcome

PANELS = 12
"""Up to this many flights get a panel each; more are drawn into one panel."""

_COLUMNS = 4
_ENDS = {Outcome.SUCCESS: "o", Outcome.COLLISION: "X", Outcome.TIMEOUT: "s"}
_ARROW = Outline([(1.0, 0.0), (-0.8, 0.6), (-0.4, 0.0), (-0.8, -0.6), (1.0, 0.0)])
_MARGIN = 1.5
_DPI = 110


def plot_flights(
    flights: Sequence[Flight], path: Path, success_radius: float | None = None
) -> None:
    """Save a PNG of flights seen from above, whole or not at all.

    Up to `PANELS` flights get a panel each, in the world frame (east right, north up). More are
    drawn in one panel from a common start, each turned so that its initial heading points up.

    Args:
        flights: what to draw; without any, the plot says that no flight was finished.
        path: the file to make.
        success_radius: distance from the target at which a flight succeeds, metres, drawn as a
            circle; None draws none.

    """
    if len(flights) > PANELS:
        figure = Figure(figsize=(8, 8), layout="constrained")
        _overlay(figure.add_subplot(), flights)
    else:
        columns = min(_COLUMNS, max(len(flights), 1))
        rows = max(1, math.ceil(len(flights) / columns))
        figure = Figure(figsize=(max(4.0 * columns, 6.0), 4.2 * rows + 0.5), layout="constrained")
        for index, flight in enumerate(flights):
            _panel(figure.add_subplot(rows, columns, index + 1), flight, success_radius)
    _legend(figure, flights)
    FigureCanvasAgg(figure)
    with whole_file(path) as staging:
        figure.savefig(staging, format="png", dpi=_DPI)


def _panel(axes: Axes, flight: Flight, success_radius: float | None) -> None:
    """Draw one flight in the world frame."""
    scene, colour = flight.scene, _colour(flight.outcome)
    for solid in scene.obstacles:
        axes.add_patch(_footprint(solid))
    points = [flight.track[:, :2], scene.start_position[None, :2]]
    if scene.target is not None:
        axes.add_patch(_footprint(scene.target))
        x, y = scene.target.position[:2].tolist()
        radius = success_radius or scene.target.radius
        if success_radius is not None:
            axes.add_patch(
                Circle((x, y), radius, fill=False, edgecolor="0.35", linestyle="--", zorder=3)
            )
        points.append(np.array([[x - radius, y], [x + radius, y]]))
        if scene.route is not None:
            times = np.arange(0.0, flight.duration + 0.1, 0.1)
            route = np.array([scene.target_position(t) for t in times])[:, :2]
            axes.plot(*route.T, color=scene.target.colour, linewidth=1.2, linestyle=":", zorder=3)
            points.append(route)
    for gate in scene.gates:
        axes.plot(*_opening(gate).T, color="0.35", linewidth=1.0, linestyle="--", zorder=3)
        points.append(gate.position[None, :2])
    axes.plot(*flight.track[:, :2].T, color=colour, linewidth=2.0, zorder=4)
    axes.plot(*flight.track[-1, :2], _ENDS[flight.outcome], color=colour, markersize=8, zorder=5)
    _mark_start(axes, scene.start_position[:2], scene.start_yaw)
    _frame(axes, np.concatenate(points))
    axes.set_xlabel("east, m", fontsize=8)
    axes.set_ylabel("north, m", fontsize=8)
    axes.set_title(
        f"seed {flight.seed}: {flight.outcome.value} in {flight.duration:.1f} s",
        color=colour,
        fontsize=10,
    )


def _overlay(axes: Axes, flights: Sequence[Flight]) -> None:
    """Draw many flights from a common start, initial heading up."""
    points = [np.zeros((1, 2))]
    for flight in flights:
        colour = _colour(flight.outcome)
        track = _from_start(flight.scene, flight.track[:, :2])
        axes.plot(*track.T, color=colour, linewidth=1.2, alpha=0.6, zorder=3)
        points.append(track)
        if flight.scene.target is not None:
            target = _from_start(flight.scene, flight.scene.target.position[None, :2])
            axes.plot(*target.T, "o", color=colour, markeredgecolor="0.2", markersize=7, zorder=4)
            points.append(target)
    _mark_start(axes, np.zeros(2), math.pi / 2)
    _frame(axes, np.concatenate(points))
    axes.set_xlabel("right of the initial heading, m")
    axes.set_ylabel("ahead, m")


def _from_start(scene: Scene, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn points (P, 2) into the frame of the start: x to the right of the heading, y along it."""
    c, s = math.cos(scene.start_yaw), math.sin(scene.start_yaw)
    turned: NDArray[np.float64] = (points - scene.start_position[:2]) @ [[s, c], [-c, s]]
    return turned


def _footprint(solid: Solid) -> Patch:
    """Outline a solid seen from above, in its own colour."""
    x, y = solid.position[:2].tolist()
    style = {"facecolor": solid.colour, "edgecolor": "0.25", "linewidth": 0.8, "zorder": 2}
    if solid.shape is not Shape.BOX:
        return Circle((x, y), solid.radius, **style)
    length, width = solid.size[:2]
    corner = (x - length / 2, y - width / 2)
    angle = math.degrees(solid.yaw)
    return Rectangle(corner, length, width, angle=angle, rotation_point="center", **style)


def _opening(gate: Gate) -> NDArray[np.float64]:
    """Ends of a gate's opening seen from above, metres, world ENU, shape (2, 2)."""
    half = gate.width / 2 * np.array([-math.sin(gate.yaw), math.cos(gate.yaw)])
    ends: NDArray[np.float64] = gate.position[:2] + np.array([half, -half])
    return ends


def _mark_start(axes: Axes, position: NDArray[np.float64], yaw: float) -> None:
    arrow = _ARROW.transformed(Affine2D().rotate(yaw))
    axes.plot(*position, marker=arrow, markersize=16, color="0.1", linestyle="", zorder=6)


def _frame(axes: Axes, points: NDArray[np.float64]) -> None:
    """Set the axes to a square around all points (P, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    centre, half = (low + high) / 2, float((high - low).max()) / 2 + _MARGIN
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] - half, centre[1] + half)
    axes.set_aspect("equal")
    axes.set_axisbelow(True)
    axes.set_facecolor("#f3f4f6")
    axes.grid(color="white", linewidth=1.2)
    axes.tick_params(labelsize=8, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, flights: Sequence[Flight]) -> None:
    if not flights:
        figure.suptitle("no flight was finished")
        return
    start = Line2D([], [], marker=_ARROW, color="0.1", markersize=12, linestyle="", label="start")
    tracks = [
        Line2D([], [], color=_colour(outcome), linewidth=2.5, label=f"{outcome.value} ({count})")
        for outcome in Outcome
        if (count := sum(flight.outcome is outcome for flight in flights))
    ]
    figure.legend(handles=[start, *tracks], loc="outside lower center", ncols=4, frameon=False)


def _colour(outcome: Outcome) -> tuple[float, float, float]:
    red, green, blue = (channel / 255 for channel in OUTCOME_COLOURS[outcome])
    return red, green, blue
