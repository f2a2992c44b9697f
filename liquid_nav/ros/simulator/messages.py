"""What the simulated drone says, as ROS 2 messages: REP-103 frames, REP-145 for the IMU."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from liquid_nav.events import CameraFrame, ImuSample
from liquid_nav.ros.backends.messages import fill, header, message_class, vector3
from liquid_nav.ros.controller.diagnostics import OK, WARN
from liquid_nav_sim.rotation import rotate_back, rotation_matrix
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.vehicle.state import VehicleState
from liquid_nav_sim.world import Outcome

WORLD, BODY, OPTICAL = "odom", "base_link", "camera_optical_frame"
"""Frames: world ENU, body FLU, and the camera's with x right, y down, z forward."""


def clock(time: int) -> Any:
    """``rosgraph_msgs/Clock`` at `time` ns."""
    message = message_class("rosgraph_msgs/msg/Clock")()
    fill(message.clock, header(time, "")["stamp"])
    return message


def image(frame: CameraFrame) -> Any:
    """``sensor_msgs/Image``, rgb8, at the frame's stamp."""
    height, width, _ = frame.image.shape
    data = array("B")
    data.frombytes(frame.image.tobytes())
    fields = {
        "header": header(frame.stamp, OPTICAL),
        "height": height,
        "width": width,
        "encoding": "rgb8",
        "step": 3 * width,
        "data": data,
    }
    return fill(message_class("sensor_msgs/msg/Image")(), fields)


def camera_info(model: CameraModel, stamp: int) -> Any:
    """``sensor_msgs/CameraInfo`` at `stamp` ns, with the distortion of the lens."""
    k = model.matrix
    fields = {
        "header": header(stamp, OPTICAL),
        "height": model.height,
        "width": model.width,
        "distortion_model": "plumb_bob",
        "d": list(model.distortion),
        "k": k.ravel().tolist(),
        "r": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "p": np.hstack([k, np.zeros((3, 1))]).ravel().tolist(),
    }
    return fill(message_class("sensor_msgs/msg/CameraInfo")(), fields)


def imu(sample: ImuSample) -> Any:
    """``sensor_msgs/Imu`` at the sample's stamp, without orientation."""
    message = message_class("sensor_msgs/msg/Imu")()
    message.orientation_covariance[0] = -1.0
    x, y, z = sample.angular_velocity.tolist()
    ax, ay, az = sample.specific_force.tolist()
    fields = {
        "header": header(sample.stamp, BODY),
        "angular_velocity": vector3((x, y, z)),
        "linear_acceleration": vector3((ax, ay, az)),
    }
    return fill(message, fields)


def odometry(state: VehicleState, time: int) -> Any:
    """``nav_msgs/Odometry``: pose in world ENU, twist in body FLU, at `time` ns."""
    attitude = rotation_matrix(state.orientation.tolist())
    px, py, pz = state.position.tolist()
    rx, ry, rz = state.angular_velocity.tolist()
    fields = {
        "header": header(time, WORLD),
        "child_frame_id": BODY,
        "pose": {
            "pose": {
                "position": vector3((px, py, pz)),
                "orientation": dict(zip("xyzw", state.orientation.tolist(), strict=True)),
            }
        },
        "twist": {
            "twist": {
                "linear": vector3(rotate_back(attitude, state.linear_velocity.tolist())),
                "angular": vector3((rx, ry, rz)),
            }
        },
    }
    return fill(message_class("nav_msgs/msg/Odometry")(), fields)


def outcome(node: str, how: Outcome, figures: Mapping[str, str]) -> Any:
    """``diagnostic_msgs/DiagnosticStatus`` of a flight that ended, by the node of that name."""
    pair = message_class("diagnostic_msgs/msg/KeyValue")
    return message_class("diagnostic_msgs/msg/DiagnosticStatus")(
        level=bytes([OK if how is Outcome.SUCCESS else WARN]),
        name=f"{node}: flight",
        hardware_id=node,
        message=how.value,
        values=[pair(key=key, value=value) for key, value in figures.items()],
    )
