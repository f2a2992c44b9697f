"""An ideal pinhole camera, and a renderer that draws its image with PyBullet."""

from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav_sim.render.background import Background
from liquid_nav_sim.scenes.scene import Scene

NEAR, FAR = 0.05, 200.0
"""Nearest and farthest depth at which objects are drawn, metres."""


@dataclass(frozen=True)
class Pinhole:
    """An ideal camera with square pixels.

    As in OpenCV, pixel centres have integer coordinates (u, v), so the image spans
    [-1/2, width - 1/2] by [-1/2, height - 1/2].

    Attributes:
        width, height: size of the image, pixels.
        focal: focal length, pixels.
        cx, cy: principal point, where the optical axis meets the image, pixels.
    """

    width: int
    height: int
    focal: float
    cx: float
    cy: float

    @cached_property
    def rays(self) -> NDArray[np.float32]:
        """Unit vectors through the pixels' centres, row by row, shape (3, height * width).

        Optical frame: x right, y down, z forward.
        """
        v, u = np.indices((self.height, self.width)).reshape(2, -1)
        rays = np.stack([(u - self.cx) / self.focal, (v - self.cy) / self.focal, np.ones(u.size)])
        rays /= np.linalg.norm(rays, axis=0)
        return rays.astype(np.float32)

    @cached_property
    def projection(self) -> tuple[float, ...]:
        """The 16 elements of OpenGL's projection matrix, column by column."""
        matrix = np.zeros((4, 4))
        matrix[0, 0] = 2 * self.focal / self.width
        matrix[1, 1] = 2 * self.focal / self.height
        # TinyRenderer samples a pixel at its lower left corner: shift the picture by half a pixel.
        matrix[0, 2] = 1 - 2 * self.cx / self.width
        matrix[1, 2] = 2 * (self.cy + 1) / self.height - 1
        matrix[2, 2] = -(FAR + NEAR) / (FAR - NEAR)
        matrix[2, 3] = -2 * FAR * NEAR / (FAR - NEAR)
        matrix[3, 2] = -1
        return tuple(matrix.T.ravel().tolist())

    def crop(self, left: int, top: int, width: int, height: int) -> "Pinhole":
        """The camera that sees only the given rectangle of this camera's image."""
        return Pinhole(width, height, self.focal, self.cx - left, self.cy - top)


@dataclass(frozen=True, eq=False)
class Render:
    """One image of the scene without sensor noise.

    Attributes:
        image: uint8 RGB, shape (H, W, 3).
        segmentation: id of the body in each pixel, -1 for ground and sky, shape (H, W).
        depth: metres along the optical axis, infinite for the sky (REP-118), shape (H, W); None
            unless it was requested.
    """

    image: NDArray[np.uint8]
    segmentation: NDArray[np.int32]
    depth: NDArray[np.float32] | None = None


class Renderer:
    """Draws a scene in a PyBullet client, the same bytes for the same pose.

    PyBullet's software renderer draws the bodies; the ground plane and the sky behind them are
    computed analytically (see `Background`). Create it after the bodies are in the client; it takes
    static planes in the client for the ground.

    Args:
        client: PyBullet client that holds the bodies.
        scene: the scene; its appearance gives light, ground and sky.
        shadow: whether bodies cast shadows on one another; the ground shows no shadows.
    """

    def __init__(self, client: int, scene: Scene, shadow: bool = False) -> None:
        self._client, self._shadow = client, shadow
        self._background = Background(scene.appearance)
        self._light = scene.appearance.light.tolist()
        self._ambient = scene.appearance.ambient
        self._white = scene.appearance.light_colour == (1.0, 1.0, 1.0)
        self._planes = _planes(client)

    def draw(
        self,
        pinhole: Pinhole,
        rotation: NDArray[np.float64],
        eye: NDArray[np.float64],
        depth: bool = False,
    ) -> Render:
        """Render the scene with an ideal camera.

        Args:
            pinhole: the camera.
            rotation: rotation from the optical frame to world ENU, shape (3, 3).
            eye: centre of projection, metres, world ENU, shape (3,).
            depth: whether to return the depth too.
        """
        shape = (pinhole.height, pinhole.width)
        _, _, rgba, buffer, bodies = pybullet.getCameraImage(
            pinhole.width,
            pinhole.height,
            viewMatrix=_view(rotation, eye),
            projectionMatrix=pinhole.projection,
            lightDirection=self._light,
            lightColor=(1.0, 1.0, 1.0),
            lightAmbientCoeff=self._ambient,
            lightDiffuseCoeff=1 - self._ambient,
            lightSpecularCoeff=0.0,
            shadow=int(self._shadow),
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        image = np.asarray(rgba, dtype=np.uint8).reshape(*shape, 4)[..., :3].copy()
        segmentation = np.asarray(bodies, dtype=np.int32).reshape(shape)
        for plane in self._planes:
            segmentation[segmentation == plane] = -1
        empty = segmentation < 0
        # Nearly every pixel is empty, so drawing all costs less than selecting the empty ones.
        rays = rotation.astype(np.float32) @ pinhole.rays
        background = self._background.colours(eye, rays, 1 / pinhole.focal)
        np.copyto(image, background.reshape(image.shape), where=empty[..., None])
        if not self._white:
            image[~empty] = self._background.lit(image[~empty])
        foggy = isfinite(self._background.fog_length)
        if not (depth or foggy):
            return Render(image, segmentation)
        ndc = 2 * np.asarray(buffer, dtype=np.float32).reshape(shape) - 1
        metres = 2 * FAR * NEAR / (FAR + NEAR - ndc * (FAR - NEAR))
        if foggy:
            away = (metres.ravel() / pinhole.rays[2]).reshape(shape)[~empty]
            image[~empty] = self._background.veiled(image[~empty], away)
        if not depth:
            return Render(image, segmentation)
        with np.errstate(divide="ignore"):
            ground = pinhole.rays[2] * np.float32(eye[2]) / np.maximum(-rays[2], 0)
        np.copyto(metres, ground.reshape(shape), where=empty)
        return Render(image, segmentation, metres.astype(np.float32))


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
