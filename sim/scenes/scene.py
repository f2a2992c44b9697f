"""A scene: solid primitives above a ground plane, and their appearance."""

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Shape(str, Enum):
    """Kinds of primitive; they determine the meaning of `Solid.size`."""

    SPHERE = "sphere"
    BOX = "box"
    CYLINDER = "cylinder"


@dataclass(frozen=True, eq=False)
class Solid:
    """One solid object.

    Attributes:
        shape: kind of primitive; cylinders stand upright.
        position: centre, metres, world ENU, shape (3,).
        size: metres; (diameter,) of a sphere, (length x, width y, height z) of a box,
            (diameter, height) of a cylinder.
        colour: RGB in [0, 1].
        yaw: rotation about the vertical, radians.
    """

    shape: Shape
    position: NDArray[np.float64]
    size: tuple[float, ...]
    colour: tuple[float, float, float]
    yaw: float = 0.0

    def distance(self, point: NDArray[np.float64]) -> float:
        """Signed distance from `point`, world ENU, shape (3,), to the surface, metres."""
        # On single numbers, plain floats are faster than numpy.
        dx, dy, dz = map(float.__sub__, point.tolist(), self.position.tolist())
        if self.shape is Shape.SPHERE:
            return math.sqrt(dx * dx + dy * dy + dz * dz) - self.size[0] / 2
        if self.shape is Shape.CYLINDER:
            excess = [math.hypot(dx, dy) - self.size[0] / 2, abs(dz) - self.size[1] / 2]
        else:
            c, s = math.cos(self.yaw), math.sin(self.yaw)
            local = (c * dx + s * dy, -s * dx + c * dy, dz)
            excess = [abs(x) - side / 2 for x, side in zip(local, self.size, strict=True)]
        outside = math.sqrt(sum(max(e, 0.0) ** 2 for e in excess))
        return outside + min(max(excess), 0.0)

    def nearest(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """The point of the solid nearest to `point`, metres, world ENU, shape (3,).

        A point inside the solid is its own nearest point.
        """
        dx, dy, dz = map(float.__sub__, point.tolist(), self.position.tolist())
        half = self.size[-1] / 2
        if self.shape is Shape.SPHERE:
            share = min(half / max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-9), 1.0)
            dx, dy, dz = share * dx, share * dy, share * dz
        elif self.shape is Shape.CYLINDER:
            share = min(self.size[0] / 2 / max(math.hypot(dx, dy), 1e-9), 1.0)
            dx, dy, dz = share * dx, share * dy, min(max(dz, -half), half)
        else:
            c, s = math.cos(self.yaw), math.sin(self.yaw)
            local = (c * dx + s * dy, c * dy - s * dx, dz)
            x, y, dz = (
                min(max(along, -side / 2), side / 2)
                for along, side in zip(local, self.size, strict=True)
            )
            dx, dy = c * x - s * y, s * x + c * y
        nearest: NDArray[np.float64] = self.position + np.array([dx, dy, dz])
        return nearest

    @property
    def radius(self) -> float:
        """Radius of the smallest upright cylinder about the centre that holds the solid, metres."""
        if self.shape is Shape.BOX:
            return math.hypot(self.size[0], self.size[1]) / 2
        return self.size[0] / 2


@dataclass(frozen=True, eq=False)
class Route:
    """A smooth path of an object: a steady drift plus sinusoids.

    Attributes:
        drift: velocity of the drift, m/s, world ENU, shape (3,).
        amplitude: amplitudes of the K sinusoids, metres, world ENU, shape (K, 3).
        frequency: angular frequencies of the sinusoids, rad/s, shape (K,).
        phase: phases of the sinusoids at time 0, radians, shape (K,).
    """

    drift: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    frequency: NDArray[np.float64]
    phase: NDArray[np.float64]

    def offset(self, time: float) -> NDArray[np.float64]:
        """Displacement at `time` s since time 0, metres, world ENU, shape (3,)."""
        sway = np.sin(self.frequency * time + self.phase) - np.sin(self.phase)
        away: NDArray[np.float64] = self.drift * time + sway @ self.amplitude
        return away

    def velocity(self, time: float) -> NDArray[np.float64]:
        """Velocity at `time` s, m/s, world ENU, shape (3,)."""
        rate = self.frequency * np.cos(self.frequency * time + self.phase)
        velocity: NDArray[np.float64] = self.drift + rate @ self.amplitude
        return velocity


@dataclass(frozen=True, eq=False)
class Gate:
    """An upright rectangular opening to fly through.

    Attributes:
        position: centre of the opening, metres, world ENU, shape (3,).
        yaw: direction in which to fly through the opening, radians, 0 along +x.
        width, height: size of the opening, metres.
    """

    position: NDArray[np.float64]
    yaw: float
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a scene looks.

    Attributes:
        ground: uint8 RGB texture, shape (S, S, 3), tiled over the ground plane.
        ground_scale: length of the side of one tile, metres.
        sky_zenith, sky_horizon: colours of the sky, RGB in [0, 1], blended by elevation.
        light: unit vector towards the sun, world ENU, shape (3,).
        ambient: fraction of the light that has no direction, in [0, 1].
        fog_length: distance at which fog leaves 1/e of an object's own colour, metres; infinite
            without fog.
        light_colour: factors of red, green and blue by which the light colours ground and objects;
            1 is white daylight, less is dusk. The colours of the sky stay as given.
        haze_length: distance at which haze leaves 1/e of the ground's own colour, metres; infinite
            without haze. It adds to the fog, and does not act on objects.
        smooth: whether the texture is averaged over the area that a pixel covers, as a lens does.
            Otherwise fine textures flicker far away, as in simulators without such a filter.
    """

    ground: NDArray[np.uint8]
    ground_scale: float
    sky_zenith: tuple[float, float, float]
    sky_horizon: tuple[float, float, float]
    light: NDArray[np.float64]
    ambient: float
    fog_length: float = math.inf
    light_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    haze_length: float = 40.0
    smooth: bool = True


@dataclass(frozen=True, eq=False)
class Scene:
    """The surroundings of a flight, and the pose at which the vehicle starts.

    Attributes:
        start_position: metres, world ENU, shape (3,).
        start_yaw: radians, 0 faces +x (east).
        appearance: colours, light and fog.
        target: the solid to reach at its position at the start of the flight, or None.
        obstacles: the other solids; they do not move.
        route: path of the target, or None if it does not move.
        gates: openings to fly through, in this order; their frames are among the obstacles.
    """

    start_position: NDArray[np.float64]
    start_yaw: float
    appearance: Appearance
    target: Solid | None = None
    obstacles: tuple[Solid, ...] = field(default=())
    route: Route | None = None
    gates: tuple[Gate, ...] = ()

    def target_position(self, time: float) -> NDArray[np.float64] | None:
        """Centre of the target at `time` s, metres, world ENU, shape (3,); None without one."""
        if self.target is None or self.route is None:
            return None if self.target is None else self.target.position
        position: NDArray[np.float64] = self.target.position + self.route.offset(time)
        return position

    @property
    def solids(self) -> tuple[Solid, ...]:
        """The target, if there is one, followed by the obstacles."""
        return ((self.target,) if self.target is not None else ()) + self.obstacles
