"""A pinhole camera that is bolted to a body and rolls and pitches with it."""

from dataclasses import dataclass
from math import cos, hypot, inf, isfinite, pi, sin, tan

import numpy as np
import pybullet
from numpy.typing import ArrayLike, NDArray

from liquid_nav_sim.background import Background
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.scene import Scene

NEAR, FAR = 0.05, 200.0
"""Metres in front of the camera between which objects are drawn."""


@dataclass(frozen=True)
class CameraModel:
    """An ideal pinhole camera with square pixels, and where it sits on the body.

    Attributes:
        width, height: pixels.
        horizontal_fov: angle between the left edge of the image and the right, radians.
        mount_position: centre of projection, metres, body FLU.
        mount_pitch: tilt of the optical axis above the body's x axis, radians; positive looks up.
        noise_sigma: standard deviation of the sensor noise, grey levels.

    Raises:
        SimulationError: on a field out of its range.
    """

    width: int = 64
    height: int = 48
    horizontal_fov: float = pi / 2
    mount_position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mount_pitch: float = 0.0
    noise_sigma: float = 2.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("width", 1, 8192),
            ("height", 1, 8192),
            ("horizontal_fov", 0.01, 3.0),
            ("mount_pitch", -pi / 2, pi / 2),
            ("noise_sigma", 0.0, 255.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"CameraModel.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )
        for name in ("width", "height"):
            if not isinstance(getattr(self, name), int):
                raise SimulationError(
                    f"CameraModel.{name} must be a whole number of pixels, "
                    f"got {getattr(self, name)!r}"
                )
        if len(self.mount_position) != 3 or not all(map(isfinite, self.mount_position)):
            raise SimulationError(
                "CameraModel.mount_position must be three finite metres, "
                f"got {self.mount_position!r}"
            )

    @property
    def focal_length(self) -> float:
        """Focal length, pixels."""
        return self.width / 2 / tan(self.horizontal_fov / 2)

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
            position: of the body, metres, world ENU, shape (3,).
            orientation: of the body, quaternion x, y, z, w, body FLU to world ENU, shape (4,).

        Returns:
            The rotation from the optical frame to world ENU, shape (3, 3), and the centre of
            projection, metres, world ENU, shape (3,).
        """
        body = np.array(pybullet.getMatrixFromQuaternion(orientation)).reshape(3, 3)
        c, s = cos(self.mount_pitch), sin(self.mount_pitch)
        mount = np.array([[0.0, s, c], [-1.0, 0.0, 0.0], [0.0, -c, s]])
        return body @ mount, np.asarray(position, dtype=np.float64) + body @ self.mount_position


@dataclass(frozen=True, eq=False)
class Render:
    """One noiseless view.

    Attributes:
        image: uint8 RGB, shape (H, W, 3).
        segmentation: id of the body that each pixel shows, -1 for ground and sky, shape (H, W).
    """

    image: NDArray[np.uint8]
    segmentation: NDArray[np.int32]


class Camera:
    """Draws a scene in a PyBullet client, the same bytes for the same pose.

    PyBullet's software renderer draws the bodies; the ground plane and the sky are drawn
    analytically behind them (see `Background`). Make it after the bodies are in the client: static
    planes that it finds there are ground.

    Args:
        client: PyBullet client that holds the bodies.
        model: intrinsics and mount.
        scene: what to see; its appearance gives light, ground and sky.
    """

    def __init__(self, client: int, model: CameraModel, scene: Scene) -> None:
        self.model = model
        self._client = client
        self._background = Background(scene.appearance)
        self._light = scene.appearance.light.tolist()
        self._ambient = scene.appearance.ambient
        self._planes = _planes(client)
        inverse = np.linalg.inv(model.matrix)
        v, u = np.indices((model.height, model.width)).reshape(2, -1)
        rays = inverse @ np.stack([u, v, np.ones_like(u)])
        rays /= np.linalg.norm(rays, axis=0)
        self._rays = rays.astype(np.float32)
        self._projection = _projection(model)

    def render(self, position: ArrayLike, orientation: ArrayLike) -> Render:
        """Look from a body at this pose.

        Args:
            position: metres, world ENU, shape (3,).
            orientation: quaternion x, y, z, w, body FLU to world ENU, shape (4,).
        """
        rotation, eye = self.model.pose(position, orientation)
        shape = (self.model.height, self.model.width)
        _, _, rgba, _, bodies = pybullet.getCameraImage(
            self.model.width,
            self.model.height,
            viewMatrix=_view(rotation, eye),
            projectionMatrix=self._projection,
            lightDirection=self._light,
            lightColor=(1.0, 1.0, 1.0),
            lightAmbientCoeff=self._ambient,
            lightDiffuseCoeff=1 - self._ambient,
            lightSpecularCoeff=0.0,
            shadow=0,
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        image = np.asarray(rgba, dtype=np.uint8).reshape(*shape, 4)[..., :3].copy()
        segmentation = np.asarray(bodies, dtype=np.int32).reshape(shape)
        for plane in self._planes:
            segmentation[segmentation == plane] = -1
        # Nearly every pixel is empty: drawing all of them costs less than picking those that are.
        rays = rotation.astype(np.float32) @ self._rays
        background = self._background.colours(eye, rays, 1 / self.model.focal_length)
        np.copyto(image, background.reshape(image.shape), where=(segmentation < 0)[..., None])
        return Render(image, segmentation)


def add_noise(
    image: NDArray[np.uint8], sigma: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Add white Gaussian noise of `sigma` grey levels to an image, clipped to [0, 255]."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noisy = np.rint(image + np.float32(sigma) * noise)
    return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)


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


def _planes(client: int) -> tuple[int, ...]:
    bodies = (
        pybullet.getBodyUniqueId(index, physicsClientId=client)
        for index in range(pybullet.getNumBodies(physicsClientId=client))
    )
    return tuple(
        body
        for body in bodies
        for shape in pybullet.getCollisionShapeData(body, -1, physicsClientId=client)
        if shape[2] == pybullet.GEOM_PLANE
    )


def _view(rotation: NDArray[np.float64], eye: NDArray[np.float64]) -> list[float]:
    matrix = np.eye(4)
    # OpenGL's camera has y up and looks along -z.
    matrix[:3, :3] = rotation.T * ((1.0,), (-1.0,), (-1.0,))
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    flat: list[float] = matrix.T.ravel().tolist()
    return flat


def _projection(model: CameraModel) -> list[float]:
    width, height = model.width, model.height
    matrix = np.zeros((4, 4))
    matrix[0, 0] = 2 * model.focal_length / width
    matrix[1, 1] = 2 * model.focal_length / height
    # TinyRenderer samples a pixel at its lower left corner: shift the picture by half a pixel.
    matrix[0, 2] = 1 / width
    matrix[1, 2] = 1 / height
    matrix[2, 2] = -(FAR + NEAR) / (FAR - NEAR)
    matrix[2, 3] = -2 * FAR * NEAR / (FAR - NEAR)
    matrix[3, 2] = -1
    flat: list[float] = matrix.T.ravel().tolist()
    return flat
