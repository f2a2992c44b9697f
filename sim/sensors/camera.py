"""A camera that is fixed to the body of a vehicle: its parameters and its view."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, hypot, inf, isfinite, pi, sin, tan
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import pybullet
from numpy.typing import ArrayLike, NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.render.lens import STRAIGHT, Distortion, Window, check_lens, windows
from liquid_nav_sim.render.pinhole import Pinhole, Render, Renderer
from liquid_nav_sim.render.raycaster import RayCaster
from liquid_nav_sim.scenes.scene import Scene
from liquid_nav_sim.vehicle.airframe import VehicleParameters

RENDERERS: Mapping[str, type[Renderer] | type[RayCaster]] = MappingProxyType(
    {"bullet": Renderer, "raycast": RayCaster}
)
"""Renderers by name: PyBullet's software renderer, the reference, and the faster ray caster."""

_Camera = TypeVar("_Camera", bound="CameraParameters")


@dataclass(frozen=True)
class CameraParameters:
    """A camera with square pixels, and its place on the body.

    Light is measured in grey levels; 255 saturates a pixel. The effects of the fields after
    `noise_sigma` are off by default.

    Attributes:
        width, height: pixels.
        horizontal_fov: angle between the left and the right edge of the image of an ideal lens,
            radians; it sets the focal length.
        mount_position: centre of projection, metres, body FLU.
        mount_pitch: tilt of the optical axis above the body's x axis, radians; positive looks up.
        noise_sigma: standard deviation of the read noise, grey levels.
        mount_yaw: turn of the optical axis about the body's z axis, radians; positive looks left.
            The camera first yaws, then pitches by `mount_pitch`, then rolls by `mount_roll`.
        mount_roll: turn about the optical axis, radians; positive drops the camera's right side.
        distortion: Brown-Conrady coefficients k1, k2, p1, p2, k3 in OpenCV's convention.
        exposure: time for which each row gathers light, seconds.
        readout: time to read all rows, seconds: row v is exposed `readout * v / height` later than
            the first row; 0 is a global shutter.
        exposure_samples: number of instants over which the exposure of a row is averaged.
        row_groups: number of groups of rows that are exposed together under a rolling shutter;
            values above the height count as the height.
        shot_noise: variance of the light per grey level of it, grey levels.
        vignetting: strength in [0, 1] of the natural loss of light towards the corners, cos^4 of
            the angle to the optical axis.
        auto_exposure: time constant with which the gain follows the brightness, seconds; 0 for
            no auto-exposure. See `ImageSensor`.
        depth, segmentation: whether the `View` of each frame holds them.

    Raises:
        SimulationError: on a field out of its range, or a distortion that is not invertible over
            the field of view.
    """

    width: int = 64
    height: int = 48
    horizontal_fov: float = pi / 2
    mount_position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mount_pitch: float = 0.0
    noise_sigma: float = 2.0
    mount_yaw: float = 0.0
    mount_roll: float = 0.0
    distortion: Distortion = STRAIGHT
    exposure: float = 0.0
    readout: float = 0.0
    exposure_samples: int = 8
    row_groups: int = 8
    shot_noise: float = 0.0
    vignetting: float = 0.0
    auto_exposure: float = 0.0
    depth: bool = False
    segmentation: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("width", 1, 8192),
            ("height", 1, 8192),
            ("horizontal_fov", 0.01, 3.0),
            ("mount_pitch", -pi / 2, pi / 2),
            ("noise_sigma", 0.0, 255.0),
            ("mount_yaw", -pi, pi),
            ("mount_roll", -pi, pi),
            ("exposure", 0.0, 1.0),
            ("readout", 0.0, 1.0),
            ("exposure_samples", 1, 256),
            ("row_groups", 1, 8192),
            ("shot_noise", 0.0, 255.0),
            ("vignetting", 0.0, 1.0),
            ("auto_exposure", 0.0, 60.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"CameraModel.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )
        for name, unit in (
            ("width", "pixels"),
            ("height", "pixels"),
            ("exposure_samples", "instants"),
            ("row_groups", "groups"),
        ):
            if not isinstance(getattr(self, name), int):
                raise SimulationError(
                    f"CameraModel.{name} must be a whole number of {unit}, "
                    f"got {getattr(self, name)!r}"
                )
        for name, count, what in (
            ("mount_position", 3, "three finite metres"),
            ("distortion", 5, "five finite numbers, k1, k2, p1, p2, k3"),
        ):
            values = getattr(self, name)
            try:
                finite = len(values) == count and all(map(isfinite, values))
            except TypeError:
                finite = False
            if not finite:
                raise SimulationError(f"CameraModel.{name} must be {what}, got {values!r}")
        # `windows` caches by value, so the coefficients must be hashable.
        object.__setattr__(self, "distortion", tuple(map(float, self.distortion)))
        if self.distortion != STRAIGHT:
            try:
                check_lens(self.pinhole, self.distortion)
            except SimulationError as error:
                raise SimulationError(
                    f"CameraModel.distortion {self.distortion} does not fit a horizontal_fov "
                    f"of {self.horizontal_fov:g} rad: {error}"
                ) from error

    @classmethod
    def for_vehicle(cls: type["_Camera"], vehicle: VehicleParameters) -> "_Camera":
        """Make a camera at the front of a vehicle, where no rotor blocks its view."""
        return cls(mount_position=(0.96 * vehicle.arm_length, 0.0, 0.0))

    @property
    def focal_length(self) -> float:
        """Focal length, pixels."""
        return self.width / 2 / tan(self.horizontal_fov / 2)

    @property
    def pinhole(self) -> Pinhole:
        """The same camera with an ideal lens."""
        centre = (self.width - 1) / 2, (self.height - 1) / 2
        return Pinhole(self.width, self.height, self.focal_length, *centre)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Intrinsics K, shape (3, 3), of the optical frame (x right, y down, z forward).

        As in OpenCV, pixel (u, v) has its centre at the whole numbers u, v, so that the image
        spans [-1/2, width - 1/2] and the principal point is ((width - 1) / 2, (height - 1) / 2).
        """
        focal = self.focal_length
        return np.array(
            [
                [focal, 0.0, (self.width - 1) / 2],
                [0.0, focal, (self.height - 1) / 2],
                [0.0, 0.0, 1.0],
            ]
        )

    def pose(
        self, position: ArrayLike, orientation: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pose of the camera on a body.

        Args:
            position: position of the body, metres, world ENU, shape (3,).
            orientation: of the body, quaternion x, y, z, w, body FLU to world ENU, shape (4,).

        Returns:
            The rotation from the optical frame to world ENU, shape (3, 3), and the centre of
            projection, metres, world ENU, shape (3,).
        """
        body = np.array(pybullet.getMatrixFromQuaternion(orientation)).reshape(3, 3)
        c, s = cos(self.mount_pitch), sin(self.mount_pitch)
        mount = np.array([[0.0, s, c], [-1.0, 0.0, 0.0], [0.0, -c, s]])
        if self.mount_yaw or self.mount_roll:
            c, s = cos(self.mount_yaw), sin(self.mount_yaw)
            turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
            c, s = cos(self.mount_roll), sin(self.mount_roll)
            roll = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
            mount = turn @ mount @ roll
        return body @ mount, np.asarray(position, dtype=np.float64) + body @ self.mount_position


class Camera:
    """Renders a scene in a PyBullet client; the same pose gives the same bytes.

    Create it after the bodies are in the client, see `Renderer`.

    Args:
        client: PyBullet client that holds the bodies.
        model: intrinsics, lens and mount.
        scene: scene to render; its appearance sets light, ground and sky.
        renderer: name in `RENDERERS`.

    Attributes:
        model: intrinsics, lens and mount.

    Raises:
        SimulationError: on an unknown renderer, or one that cannot run on this machine.
    """

    def __init__(
        self, client: int, model: CameraParameters, scene: Scene, renderer: str = "bullet"
    ) -> None:
        check_renderer("renderer", renderer)
        self.model = model
        self._renderer = RENDERERS[renderer](client, scene)
        self._whole = windows(model.pinhole, model.distortion, 1)[0]

    def render(self, position: ArrayLike, orientation: ArrayLike) -> Render:
        """Render the view from a body at a pose, all pixels at one instant.

        Args:
            position: metres, world ENU, shape (3,).
            orientation: quaternion x, y, z, w, body FLU to world ENU, shape (4,).
        """
        return self.look(self._whole, position, orientation)

    def look(self, window: Window, position: ArrayLike, orientation: ArrayLike) -> Render:
        """Render some rows of that view.

        Args:
            window: the rows.
            position: metres, world ENU, shape (3,).
            orientation: quaternion x, y, z, w, body FLU to world ENU, shape (4,).
        """
        pose = self.model.pose(position, orientation)
        seen = self._renderer.draw(window.ideal, *pose, depth=self.model.depth)
        if window.maps is None:
            return seen
        depth = None if seen.depth is None else window.labels(seen.depth)
        return Render(window.picture(seen.image), window.labels(seen.segmentation), depth)


def check_renderer(field: str, name: str) -> None:
    """Check that a renderer exists.

    Args:
        field: name of the argument or field, for the error.
        name: name of the renderer.

    Raises:
        SimulationError: if `RENDERERS` has no such name.
    """
    if name not in RENDERERS:
        raise SimulationError(f"{field} must be one of {', '.join(RENDERERS)}, got {name!r}")


def look_at(eye: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Orientation of an unmounted camera at `eye` that centres `target`, without roll.

    Args:
        eye, target: metres, world ENU, shape (3,).

    Returns:
        Quaternion x, y, z, w, body FLU to world ENU, shape (4,).

    Raises:
        SimulationError: if the points coincide or are not finite.
    """
    start, end = np.asarray(eye, dtype=np.float64), np.asarray(target, dtype=np.float64)
    x, y, z = (end - start).tolist()
    level = hypot(x, y)
    if not 0 < hypot(level, z) < inf:
        raise SimulationError(f"look_at needs two different finite points, got {start}, {end}")
    down = -np.arctan2(z, level)
    return np.array(pybullet.getQuaternionFromEuler((0.0, down, np.arctan2(y, x))))
