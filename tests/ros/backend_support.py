"""Shared by tests of the back-ends: poses, message definitions, stand-ins for message packages."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from liquid_nav.events import SECOND, Odometry

rosbags = pytest.importorskip("rosbags.typesys", reason="rosbags is not installed")

NOW = 1_700_000_000 * SECOND + 123_456_789
MSG = Path(__file__).parent / "msg"


def quaternion(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> list[float]:
    """x, y, z, w of the rotations by yaw about z, then pitch about the new y, then roll about x."""

    def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
        return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])

    def about(axis: int, angle: float) -> np.ndarray:
        return np.append(np.eye(3)[axis] * math.sin(angle / 2), math.cos(angle / 2))

    return times(times(about(2, yaw), about(1, pitch)), about(0, roll)).tolist()


def pose(yaw: float = 0.0, stamp: int = NOW, height: float = 1.0) -> Odometry:
    return Odometry(stamp, stamp, (0, 0, height), quaternion(yaw), np.zeros(3), np.zeros(3))


def rotation(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@functools.cache
def typestore(px4_release: str = "1.16") -> Any:
    """Messages of ROS Jazzy; those of PX4 and the Crazyflie from their published definitions."""
    store = rosbags.get_typestore(rosbags.Stores.ROS2_JAZZY)
    for folder in (f"px4_msgs-{px4_release}", "crazyflie_interfaces"):
        for path in sorted((MSG / folder).glob("*.msg")):
            name = f"{folder.split('-')[0]}/msg/{path.stem}"
            store.register(rosbags.get_types_from_msg(path.read_text(), name))
    return store


def build(store: Any, message_type: str, fields: dict[str, Any]) -> Any:
    """Make a message; its class refuses a missing field, which a ROS class does not."""
    types = dict(store.get_msgdef(message_type).fields)
    nested = {
        name: build(store, types[name][1], value) if isinstance(value, dict) else value
        for name, value in fields.items()
    }
    return store.types[message_type](**nested)


def stand_in(store: Any, message_type: str) -> type[Any]:
    """A class of empty messages that refuses unknown fields, as ROS classes do."""
    fields = store.get_msgdef(message_type).fields

    class Message:
        __slots__ = tuple(name for name, _ in fields)

        def __init__(self) -> None:
            for name, (_, kind) in fields:
                nested = kind in store.fielddefs
                setattr(self, name, stand_in(store, kind)() if nested else None)

    return Message
