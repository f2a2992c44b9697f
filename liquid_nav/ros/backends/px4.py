"""PX4 over uXRCE-DDS: ``OffboardControlMode`` and ``TrajectorySetpoint``.

Checked field by field against the message definitions of px4_msgs 1.15 and 1.16. PX4 wants the mode
message at more than 2 Hz as a proof of life, besides the setpoint. A timer that sent it would
hide a dead policy, so it is sent only with a setpoint, and only while inference is fresh. When
it stops, PX4 waits COM_OF_LOSS_T and then does what COM_OBL_RC_ACT says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from liquid_nav.command import Command
from liquid_nav.ros.backends import px4_parameters
from liquid_nav.ros.backends.base import POSE_TIMEOUT, Backend, is_horizontal, velocity_of
from liquid_nav.ros.backends.frames import enu_to_ned, heading_frame_to_enu
from liquid_nav.ros.backends.loss import HOLD_AFTER_LOSS, SETPOINT_TIMEOUT
from liquid_nav.ros.backends.messages import Fields
from liquid_nav.ros.parameters import Spec, namespace_fault

if TYPE_CHECKING:
    from rclpy.node import Node


ARMED, OFFBOARD = 2, 14
"""``ARMING_STATE_ARMED`` and ``NAVIGATION_STATE_OFFBOARD`` of ``px4_msgs/VehicleStatus``."""


def offboard_control_mode(stamp: int) -> Fields:
    """Fields of ``px4_msgs/OffboardControlMode``: velocity alone; `stamp` in ns."""
    return {
        "timestamp": stamp // 1000,
        "position": False,
        "velocity": True,
        "acceleration": False,
        "attitude": False,
        "body_rate": False,
        "thrust_and_torque": False,
        "direct_actuator": False,
    }


def trajectory_setpoint(command: Command, heading: float) -> Fields:
    """Fields of ``px4_msgs/TrajectorySetpoint``: velocity in NED, yaw speed positive to the right.

    Args:
        command: in the heading frame.
        heading: yaw of the vehicle in ENU, radians.

    Returns:
        The fields, with NaN in those that PX4 must not control.

    """
    free = np.full(3, math.nan, dtype=np.float32)
    velocity = enu_to_ned(heading_frame_to_enu(velocity_of(command), heading))
    return {
        "timestamp": command.stamp // 1000,
        "position": free,
        "velocity": np.array(velocity, dtype=np.float32),
        "acceleration": free,
        "jerk": free,
        "yaw": math.nan,
        "yawspeed": -command.yaw_rate,
    }


def follows_setpoints(status: Any) -> bool:
    """Whether a ``px4_msgs/VehicleStatus`` says that the vehicle is armed and in offboard mode."""
    return bool(status.arming_state == ARMED and status.nav_state == OFFBOARD)


class Px4Backend(Backend):
    """Sends velocity setpoints in offboard mode.

    A command with a horizontal velocity is turned by odometry. Without odometry nothing is sent,
    not even the proof of life: PX4's own failsafe knows better than a hover from here what is left.
    """

    name = "px4"
    message_package = "px4_msgs"
    install_hint = (
        "build it in your workspace from https://github.com/PX4/px4_msgs, "
        "on the branch of your firmware's release; it is not on PyPI"
    )
    minimum_rate = 20.0
    options = (
        Spec(
            "namespace",
            "",
            "Namespace before /fmu/in; of one of several vehicles: /px4_1.",
            fault=namespace_fault,
        ),
        POSE_TIMEOUT,
        SETPOINT_TIMEOUT,
        HOLD_AFTER_LOSS,
    )
    needs_odometry = True
    proof_needs_inference = True
    parameters_note = (
        f"{', '.join(px4_parameters.NAMES)} cannot be read over DDS: check them by "
        "docs/autopilots/px4.md"
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        namespace = self.values["namespace"].rstrip("/")
        self._mode = f"{namespace}/fmu/in/offboard_control_mode"
        self._setpoint = f"{namespace}/fmu/in/trajectory_setpoint"
        self._status = f"{namespace}/fmu/out/vehicle_status"

    def configure(self, node: Node) -> None:
        """Make the publishers, and read the status of the vehicle."""
        super().configure(node)
        self._read_status(self._status, "px4_msgs/msg/VehicleStatus", follows_setpoints)
        self._advertise(self._mode, "px4_msgs/msg/OffboardControlMode")
        self._advertise(self._setpoint, "px4_msgs/msg/TrajectorySetpoint")

    def _command(self, command: Command, heading: float | None, fresh: bool) -> Command | None:
        if heading is None and is_horizontal(command):
            self.fault = "withheld: no fresh odometry to turn the velocity by"
            return None
        if fresh:
            self._publish(self._mode, offboard_control_mode(command.stamp))
        # A vertical command is the same at any heading.
        self._publish(self._setpoint, trajectory_setpoint(command, heading or 0.0))
        return command
