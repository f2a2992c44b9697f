"""An ideal pinhole camera, and PyBullet's software renderer as one."""

from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav_sim.render.background import Background
from liquid_nav_sim.scenes.scene import Scene

NEAR, FAR = 0.05, 200.0
"""Metres in front of the camera between which objects are drawn."""


@dataclass(frozen=True)
class Pinhole:
    """An ideal camera with square pixels.

    As in OpenCV, pixel (u, v) has its centre at the whole numbers u, v, so that an image spans
    [-1/2, width - 1/2].

    Attributes:
        width, height: pixels.
        focal: focal length, pixels.
        cx, cy: where the optical axis meets the image, pixels.
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
        """OpenGL's projection matrix by columns."""
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
        """The camera whose image is a part of this one's."""
        return Pinhole(width, height, self.focal, self.cx - left, self.cy - top)


@dataclass(frozen=True, eq=False)
class Render:
    """One noiseless view.

    Attributes:
        image: uint8 RGB, shape (H, W, 3).
        segmentation: id of the body that each pixel shows, -1 for ground and sky, shape (H, W).
        depth: metres along the optical axis, infinite for the sky (REP-118), shape (H, W); None
            where nobody asked.
    """

    image: NDArray[np.uint8]
    segmentation: NDArray[np.int32]
    depth: NDArray[np.float32] | None = None


class Renderer:
    """Draws a scene in a PyBullet client, the same bytes for the same pose.

    PyBullet's software renderer draws the bodies; the ground plane and the sky are drawn
    analytically behind them (see `Background`). Make it after the bodies are in the client: static
    planes that it finds there are ground.

    Args:
        client: PyBullet client that holds the bodies.
        scene: what to see; its appearance gives light, ground and sky.
        shadow: whether bodies cast shadows on one another; the ground shows none.
    """

    def __init__(self, client: int, scene: Scene, shadow: bool = False) -> None:
        self._client, self._shadow = client, shadow
        self._background = Background(scene.appearance)
        self._light = scene.appearance.light.tolist()
        self._ambient = scene.appearance.ambient
        self._planes = _planes(client)

    def draw(
        self,
        pinhole: Pinhole,
        rotation: NDArray[np.float64],
        eye: NDArray[np.float64],
        depth: bool = False,
    ) -> Render:
        """See the scene through an ideal camera.

        Args:
            pinhole: the camera.
            rotation: from its optical frame to world ENU, shape (3, 3).
            eye: its centre of projection, metres, world ENU, shape (3,).
            depth: whether to give the depth too.
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
        # Nearly every pixel is empty: drawing all of them costs less than picking those that are.
        rays = rotation.astype(np.float32) @ pinhole.rays
        background = self._background.colours(eye, rays, 1 / pinhole.focal)
        np.copyto(image, background.reshape(image.shape), where=empty[..., None])
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
