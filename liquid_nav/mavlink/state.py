"""What an autopilot says about itself."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.mavlink.autopilots import Autopilot
from liquid_nav.values import SECOND

ESTIMATOR_NEEDED = (
    (dialect.ESTIMATOR_ATTITUDE, "attitude"),
    (dialect.ESTIMATOR_VELOCITY_HORIZ, "horizontal velocity"),
    (dialect.ESTIMATOR_VELOCITY_VERT, "vertical velocity"),
)
"""What a velocity setpoint needs of the estimator; EKF_STATUS_REPORT has the same first bits."""

TEXTS = 10
"""Number of STATUSTEXT that are kept."""


@dataclass
class AutopilotState:
    """The newest word of the autopilot on each point; None where it has not said anything.

    Attributes:
        autopilot: which one it is; None before its first heartbeat.
        armed: whether its motors may turn.
        mode: name of its mode.
        on_ground: whether it says that it stands on the ground.
        height: metres above the origin of its local frame.
        altitude: metres above mean sea level.
        battery: what is left, a fraction of 1; None if it does not measure that.
        voltage: of the battery, V.
        ready: whether it says that it could be armed; ArduPilot and newer PX4 do.
        estimator: flags of its estimator, as in ESTIMATOR_STATUS.
        texts: what it said in words, newest last.
        heard: when any of its messages came, ns on our steady clock; None if none has.
        heartbeat: when its last heartbeat came, likewise.
        times: when each kind of message came, likewise.

    """

    autopilot: Autopilot | None = None
    armed: bool = False
    mode: str = ""
    on_ground: bool | None = None
    height: float | None = None
    altitude: float | None = None
    battery: float | None = None
    voltage: float | None = None
    ready: bool | None = None
    estimator: int | None = None
    texts: deque[str] = field(default_factory=lambda: deque(maxlen=TEXTS))
    heard: int | None = None
    heartbeat: int | None = None
    times: dict[str, int] = field(default_factory=dict)

    @property
    def commanded(self) -> bool:
        """Whether it is armed, and in the mode in which it follows setpoints."""
        return self.armed and self.autopilot is not None and self.mode == self.autopilot.commanded

    def silence(self, now: int) -> float:
        """Seconds since its last message; infinity before the first."""
        return float("inf") if self.heard is None else (now - self.heard) / SECOND

    def estimator_lacks(self) -> str:
        """What its estimator does not know, in words; empty if nothing is missing."""
        if self.estimator is None:
            return "the autopilot has not said what its estimator knows"
        missing = [name for bit, name in ESTIMATOR_NEEDED if not self.estimator & bit]
        return f"it does not know its {', '.join(missing)}" if missing else ""

    def take(self, message: Any, now: int) -> None:
        """Note what a message of the autopilot says; `now` in ns."""
        kind = message.get_type()
        self.heard = self.times[kind] = now
        reader = _READERS.get(kind)
        if reader is not None:
            reader(self, message)


def _heartbeat(state: AutopilotState, message: Any) -> None:
    state.heartbeat = state.heard
    state.armed = bool(message.base_mode & dialect.MAV_MODE_FLAG_SAFETY_ARMED)
    if state.autopilot is not None:
        state.mode = state.autopilot.mode_name(message.custom_mode)


def _landed(state: AutopilotState, message: Any) -> None:
    if message.landed_state != dialect.MAV_LANDED_STATE_UNDEFINED:
        state.on_ground = message.landed_state == dialect.MAV_LANDED_STATE_ON_GROUND


def _local_position(state: AutopilotState, message: Any) -> None:
    state.height = -message.z


def _odometry(state: AutopilotState, message: Any) -> None:
    if message.frame_id == dialect.MAV_FRAME_LOCAL_NED:
        state.height = -message.z


def _global_position(state: AutopilotState, message: Any) -> None:
    state.altitude = message.alt / 1000


def _system_status(state: AutopilotState, message: Any) -> None:
    left, voltage = message.battery_remaining, message.voltage_battery
    state.battery = left / 100 if 0 <= left <= 100 else None
    state.voltage = voltage / 1000 if 0 < voltage < 65535 else None
    check = dialect.MAV_SYS_STATUS_PREARM_CHECK
    if message.onboard_control_sensors_present & check:
        state.ready = bool(message.onboard_control_sensors_health & check)


def _estimator(state: AutopilotState, message: Any) -> None:
    state.estimator = message.flags


def _text(state: AutopilotState, message: Any) -> None:
    text = message.text
    state.texts.append(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))


_READERS = {
    "HEARTBEAT": _heartbeat,
    "EXTENDED_SYS_STATE": _landed,
    "LOCAL_POSITION_NED": _local_position,
    "ODOMETRY": _odometry,
    "GLOBAL_POSITION_INT": _global_position,
    "SYS_STATUS": _system_status,
    "ESTIMATOR_STATUS": _estimator,
    "EKF_STATUS_REPORT": _estimator,
    "STATUSTEXT": _text,
}
