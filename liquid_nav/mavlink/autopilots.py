"""How PX4 and ArduPilot differ behind the same messages.

Sources: the mode tables of PX4 (``px4_custom_mode.h``) and of ArduPilot's Copter (``mode.h``), and
what each does with SET_POSITION_TARGET_LOCAL_NED. Both turn a velocity in a body frame by the
heading alone, but PX4 before 1.14 turns it by the whole attitude, so that a vehicle that holds its
nose down to fly forward would also sink. PX4 knows ``BODY_NED`` only; ArduPilot knows
``BODY_OFFSET_NED`` too. In ``LOCAL_NED`` both agree, in every version.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pymavlink.dialects.v20 import ardupilotmega as dialect

OFFBOARD, GUIDED = "OFFBOARD", "GUIDED"
LAND, RETURN, TAKEOFF, HOLD = "LAND", "RTL", "TAKEOFF", "HOLD"

MULTICOPTERS = frozenset(
    {
        dialect.MAV_TYPE_QUADROTOR,
        dialect.MAV_TYPE_COAXIAL,
        dialect.MAV_TYPE_HEXAROTOR,
        dialect.MAV_TYPE_OCTOROTOR,
        dialect.MAV_TYPE_TRICOPTER,
        dialect.MAV_TYPE_DODECAROTOR,
    }
)
"""Types of vehicles that are flown: the modes of the others have other numbers."""


def _px4(main: int, sub: int = 0) -> int:
    return main << 16 | sub << 24


@dataclass(frozen=True)
class Autopilot:
    """One kind of autopilot.

    Attributes:
        name: as options and texts spell it.
        identity: its MAV_AUTOPILOT.
        modes: custom_mode of each mode by its name; `HOLD`, `LAND` and `RETURN` are among them.
        commanded: name of the mode in which it follows setpoints.
        body_frame: MAV_FRAME of a velocity in the heading frame.
        frame: frame that is used unless another one is asked for: body or local.
        imu: messages that carry its IMU, best first.
        patience: seconds without a setpoint after which it stops following them by itself.
        silent_parameters: what decides what it does then, for texts.

    """

    name: str
    identity: int
    modes: Mapping[str, int]
    commanded: str
    body_frame: int
    frame: str
    imu: tuple[str, ...]
    patience: float
    silent_parameters: str

    def mode_name(self, custom_mode: int) -> str:
        """Name of a mode; its number if it has no name here."""
        names = {number: name for name, number in self.modes.items()}
        return names.get(custom_mode, f"mode {custom_mode:#x}")


PX4 = Autopilot(
    name="px4",
    identity=dialect.MAV_AUTOPILOT_PX4,
    modes={
        "MANUAL": _px4(1),
        "ALTCTL": _px4(2),
        "POSCTL": _px4(3),
        TAKEOFF: _px4(4, 2),
        HOLD: _px4(4, 3),
        "MISSION": _px4(4, 4),
        RETURN: _px4(4, 5),
        LAND: _px4(4, 6),
        "ACRO": _px4(5),
        OFFBOARD: _px4(6),
        "STABILIZED": _px4(7),
    },
    commanded=OFFBOARD,
    body_frame=dialect.MAV_FRAME_BODY_NED,
    frame="local",
    imu=("HIGHRES_IMU", "SCALED_IMU", "SCALED_IMU2"),
    patience=0.5,
    silent_parameters="COM_OF_LOSS_T and COM_OBL_RC_ACT",
)

ARDUPILOT = Autopilot(
    name="ardupilot",
    identity=dialect.MAV_AUTOPILOT_ARDUPILOTMEGA,
    modes={
        "STABILIZE": 0,
        "ACRO": 1,
        "ALT_HOLD": 2,
        "AUTO": 3,
        GUIDED: 4,
        "LOITER": 5,
        RETURN: 6,
        "CIRCLE": 7,
        LAND: 9,
        "POSHOLD": 16,
        HOLD: 17,  # Which ArduPilot calls brake.
        "GUIDED_NOGPS": 20,
        "SMART_RTL": 21,
    },
    commanded=GUIDED,
    body_frame=dialect.MAV_FRAME_BODY_OFFSET_NED,
    frame="body",
    # RAW_IMU is the first IMU too, with microseconds, and in ArduPilot it is scaled all the same.
    imu=("HIGHRES_IMU", "RAW_IMU", "SCALED_IMU", "SCALED_IMU2", "SCALED_IMU3"),
    patience=3.0,
    silent_parameters="GUID_TIMEOUT",
)

AUTOPILOTS = (PX4, ARDUPILOT)


def autopilot_of(heartbeat: dialect.MAVLink_heartbeat_message) -> Autopilot | str:
    """The autopilot that sent a heartbeat, or why it cannot be flown."""
    kind, vehicle = heartbeat.autopilot, heartbeat.type
    for autopilot in AUTOPILOTS:
        if kind == autopilot.identity:
            if vehicle in MULTICOPTERS:
                return autopilot
            word = dialect.enums["MAV_TYPE"].get(vehicle)
            return (
                f"{autopilot.name} flies a vehicle of type {word.name if word else vehicle}; only "
                "multicopters can be flown"
            )
    word = dialect.enums["MAV_AUTOPILOT"].get(kind)
    return f"the autopilot is {word.name if word else kind}; only PX4 and ArduPilot can be flown"
