"""Builds the ROS 2 messages that the simulated drone publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from liquid_nav.events import Event, Odometry
from liquid_nav.messages.camera import camera_info as encode_camera_info
from liquid_nav.messages.fields import fill
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.messages.plug import WritableMessage
from liquid_nav.ros.backends.messages import message_class
from liquid_nav.ros.controller.diagnostics import OK, WARN
from liquid_nav.rotations import inverse, rotate
from liquid_nav_sim.sensors.frames import CameraModel
from liquid_nav_sim.vehicle.state import VehicleState


def measurement(kind: WritableMessage, event: Event) -> Any:
    """Message of an event, with the event's stamp.

    Args:
        kind: type of message that carries the event's channel.
        event: the measurement.
    """
    return fill(message_class(kind.type)(), kind.encode(event))


def camera_info(model: CameraModel, stamp: int) -> Any:
    """``sensor_msgs/CameraInfo`` at `stamp` ns, with the distortion of the lens."""
    fields = encode_camera_info(stamp, (model.width, model.height), model.matrix, model.distortion)
    return fill(message_class("sensor_msgs/msg/CameraInfo")(), fields)


def odometry(state: VehicleState, time: int) -> Any:
    """``nav_msgs/Odometry`` of the true state at `time` ns."""
    velocity = np.array(rotate(inverse(state.orientation.tolist()), state.linear_velocity.tolist()))
    truth = Odometry(
        time, time, state.position, state.orientation, velocity, state.angular_velocity
    )
    return measurement(OdometryMessage(), truth)


def outcome(node: str, how: str, succeeded: bool, figures: Mapping[str, str]) -> Any:
    """``diagnostic_msgs/DiagnosticStatus`` of a flight that ended.

    Args:
        node: full name of the node that publishes it.
        how: outcome of the flight, or why it has none.
        succeeded: whether it is a success.
        figures: further values by name.
    """
    pair = message_class("diagnostic_msgs/msg/KeyValue")
    return message_class("diagnostic_msgs/msg/DiagnosticStatus")(
        level=bytes([OK if succeeded else WARN]),
        name=f"{node}: flight",
        hardware_id=node,
        message=how,
        values=[pair(key=key, value=value) for key, value in figures.items()],
    )
