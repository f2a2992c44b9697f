"""A faster renderer in compiled code, which casts one ray for each pixel at exact primitives.

It draws the same scene as `Renderer`, but spheres and cylinders are exact instead of meshes. The
compiled library (`sim/render/native/raycast.cpp`) is optional: the package works without it, but
then this renderer is not available.
"""

import ctypes
import importlib.machinery
from functools import lru_cache
from pathlib import Path

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.render.background import FARTHEST, Background
from liquid_nav_sim.render.pinhole import FAR, NEAR, Pinhole, Render
from liquid_nav_sim.scenes.scene import Scene

VERSION = 2
"""Interface version of the library, as in raycast.cpp; libraries of other versions are ignored."""

_KINDS = {pybullet.GEOM_SPHERE: 0, pybullet.GEOM_BOX: 1, pybullet.GEOM_CYLINDER: 2}

# These have the memory layout of the structs Solid, View and Look in raycast.cpp.
_VECTOR, _MATRIX = ("<f4", (3,)), ("<f4", (3, 3))
_SOLID = np.dtype(
    [
        ("kind", "<i4"),
        ("label", "<i4"),
        ("centre", *_VECTOR),
        ("rotation", *_MATRIX),
        ("half", *_VECTOR),
        ("colour", *_VECTOR),
    ]
)
_VIEW = np.dtype(
    [
        ("size", "<i4", (2,)),
        ("focal", "<f4"),
        ("centre", "<f4", (2,)),
        ("rotation", *_MATRIX),
        ("eye", *_VECTOR),
        ("range", "<f4", (2,)),
    ]
)


class _Look(ctypes.Structure):
    _fields_ = (
        ("light", ctypes.c_float * 3),
        ("ambient", ctypes.c_float),
        ("horizon", ctypes.c_float * 3),
        ("zenith", ctypes.c_float * 3),
        ("scale", ctypes.c_float),
        ("haze_length", ctypes.c_float),
        ("fog_length", ctypes.c_float),
        ("farthest", ctypes.c_float),
        ("levels", ctypes.c_int32),
        ("sizes", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("texels", ctypes.c_void_p),
    )


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled library, or None if it was not built or has another interface version."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_raycast{suffix}")
        if path.exists():
            loaded = ctypes.CDLL(str(path))
            if loaded.raycast_version() == VERSION:
                loaded.raycast_draw.restype = None
                address = ctypes.c_void_p
                before, after = (address, address, address), (address, address, address)
                loaded.raycast_draw.argtypes = (*before, ctypes.c_int32, *after)
                return loaded
    return None


class RayCaster:
    """Draws a scene in a PyBullet client as `Renderer` does, the same bytes for the same pose.

    Create it after the bodies are in the client. Static planes are the ground; all other bodies
    must consist of spheres, boxes and cylinders. Do not add, remove or recolour bodies later.

    Args:
        client: PyBullet client that holds the bodies.
        scene: the scene; its appearance gives light, ground and sky.

    Raises:
        SimulationError: if the library was not compiled, or a body has another shape.
    """

    def __init__(self, client: int, scene: Scene) -> None:
        loaded = library()
        if loaded is None:
            raise SimulationError(
                "the ray caster was not compiled: reinstall the package on a machine with a C++ "
                "compiler, or use the renderer 'bullet'"
            )
        self._draw, self._client = loaded.raycast_draw, client
        background = Background(scene.appearance)
        # The struct holds only the addresses of these arrays, so keep a reference to them here.
        self._tables = (
            background.sizes,
            background.offsets,
            np.ascontiguousarray(background.texels.T),
        )
        three = ctypes.c_float * 3
        look = scene.appearance
        self._look = _Look(
            three(*look.light.tolist()),
            look.ambient,
            three(*background.horizon.ravel().tolist()),
            three(*background.zenith.ravel().tolist()),
            look.ground_scale,
            background.haze_length,
            background.fog_length,
            FARTHEST,
            len(background.sizes),
            *(table.ctypes.data for table in self._tables),
        )
        self._view = np.zeros(1, _VIEW)
        self._view["range"] = NEAR, FAR
        self._collect(client, background.light_colour)
        # Bodies without mass stay in place, unless the scene has a moving target.
        self._moving = [
            (body, rows)
            for body, rows in self._bodies.items()
            if scene.route is not None
            or pybullet.getDynamicsInfo(body, -1, physicsClientId=client)[0] > 0
        ]
        for body, rows in self._bodies.items():
            self._place(body, rows)

    def draw(
        self,
        pinhole: Pinhole,
        rotation: NDArray[np.float64],
        eye: NDArray[np.float64],
        depth: bool = False,
    ) -> Render:
        """Render the scene with an ideal camera; see `Renderer.draw`."""
        for body, rows in self._moving:
            self._place(body, rows)
        view = self._view
        view["size"] = pinhole.width, pinhole.height
        view["focal"] = pinhole.focal
        view["centre"] = pinhole.cx, pinhole.cy
        view["rotation"] = rotation
        view["eye"] = eye
        shape = (pinhole.height, pinhole.width)
        image = np.empty((*shape, 3), np.uint8)
        labels, metres = np.empty(shape, np.int32), np.empty(shape, np.float32)
        self._draw(
            view.ctypes.data,
            ctypes.addressof(self._look),
            self._solids.ctypes.data,
            len(self._solids),
            image.ctypes.data,
            labels.ctypes.data,
            metres.ctypes.data,
        )
        return Render(image, labels, metres if depth else None)

    def _collect(self, client: int, light: NDArray[np.float32]) -> None:
        """Collect the shapes of all bodies in their frames, in light of a colour (3,)."""
        solids: list[tuple[object, ...]] = []
        self._bodies: dict[int, slice] = {}
        for index in range(pybullet.getNumBodies(physicsClientId=client)):
            body = pybullet.getBodyUniqueId(index, physicsClientId=client)
            shapes = [
                shape
                for shape in pybullet.getVisualShapeData(body, physicsClientId=client)
                if shape[2] != pybullet.GEOM_PLANE and shape[7][3] > 0
            ]
            for _, link, kind, size, _, position, orientation, colour, *_ in shapes:
                if link != -1 or kind not in _KINDS:
                    raise SimulationError(
                        "the ray caster draws only spheres, boxes and cylinders on the base of a "
                        f"body; body {body} has a shape of PyBullet type {kind} on link {link}"
                    )
                half: tuple[float, ...] = (size[0],) * 3
                if kind == pybullet.GEOM_BOX:
                    half = tuple(side / 2 for side in size)
                elif kind == pybullet.GEOM_CYLINDER:
                    half = (size[1], size[1], size[0] / 2)
                turn = np.reshape(pybullet.getMatrixFromQuaternion(orientation), (3, 3))
                rgb = 255 * light * np.array(colour[:3])
                solids.append((_KINDS[kind], body, position, turn, half, rgb))
            if shapes:
                self._bodies[body] = slice(len(solids) - len(shapes), len(solids))
        self._own = np.array(solids, dtype=_SOLID)
        self._solids = self._own.copy()

    def _place(self, body: int, rows: slice) -> None:
        """Move the shapes of a body to its present pose."""
        position, orientation = pybullet.getBasePositionAndOrientation(
            body, physicsClientId=self._client
        )
        turn = np.reshape(pybullet.getMatrixFromQuaternion(orientation), (3, 3))
        own, solids = self._own[rows], self._solids[rows]
        solids["rotation"] = turn @ own["rotation"]
        solids["centre"] = own["centre"] @ turn.T + position
