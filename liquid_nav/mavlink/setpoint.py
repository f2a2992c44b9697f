"""A command as SET_POSITION_TARGET_LOCAL_NED: velocity and yaw rate, all else ignored."""

import math
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.command import Command

TYPE_MASK = (
    dialect.POSITION_TARGET_TYPEMASK_X_IGNORE
    | dialect.POSITION_TARGET_TYPEMASK_Y_IGNORE
    | dialect.POSITION_TARGET_TYPEMASK_Z_IGNORE
    | dialect.POSITION_TARGET_TYPEMASK_AX_IGNORE
    | dialect.POSITION_TARGET_TYPEMASK_AY_IGNORE
    | dialect.POSITION_TARGET_TYPEMASK_AZ_IGNORE
    | dialect.POSITION_TARGET_TYPEMASK_YAW_IGNORE
)
"""What is ignored: position, acceleration and yaw. What is left is velocity and yaw rate."""


def setpoint(
    command: Command, time_boot_ms: int, system: int, component: int, frame: int, yaw: float
) -> Any:
    """Make the message of a command.

    Args:
        command: in the heading frame.
        time_boot_ms: the autopilot's time, ms.
        system, component: of the autopilot.
        frame: MAV_FRAME_LOCAL_NED, or a body frame: forward, right, down.
        yaw: of the vehicle, radians clockwise from north; for the local frame.

    """
    forward, right, down = command.vx, -command.vy, -command.vz
    if frame == dialect.MAV_FRAME_LOCAL_NED:
        c, s = math.cos(yaw), math.sin(yaw)
        forward, right = c * forward - s * right, s * forward + c * right
    return dialect.MAVLink_set_position_target_local_ned_message(
        time_boot_ms=time_boot_ms & 0xFFFFFFFF,
        target_system=system,
        target_component=component,
        coordinate_frame=frame,
        type_mask=TYPE_MASK,
        x=0.0,
        y=0.0,
        z=0.0,
        vx=forward,
        vy=right,
        vz=down,
        afx=0.0,
        afy=0.0,
        afz=0.0,
        yaw=0.0,
        yaw_rate=-command.yaw_rate,
    )
