"""Measurements of an autopilot as events: from NED and FRD to ENU and FLU, on our clock.

Units differ by message: HIGHRES_IMU is in m/s^2 and rad/s, SCALED_IMU and its kin in thousandths
of g and of rad/s. RAW_IMU has no units in the protocol; ArduPilot, the only one it is read from,
sends the same thousandths in it. All of them measure specific force in FRD, -g on the down axis at
rest.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.errors import EventError
from liquid_nav.events import Event, ImuSample, Odometry
from liquid_nav.mavlink.clock import DeviceClock
from liquid_nav.messages.px4 import ENU_FROM_NED, FRD_FROM_FLU
from liquid_nav.rotations import compose, inverse, rotate
from liquid_nav.values import SECOND

STANDARD_GRAVITY = 9.80665
MILLI_G = STANDARD_GRAVITY / 1000

ALL_AXES = 0b111111
"""Bits of ``fields_updated`` of HIGHRES_IMU: three axes of accelerometer and gyro."""

UNIX_TIME = 10**15
"""us. Larger stamps count from 1970 (this is 2001), smaller ones from the autopilot's start."""

SILENCE = SECOND
"""ns after which another message may take the place of the one that carried the measurement."""

PAIRING = SECOND // 10
"""ns between an attitude and a position that make one odometry, at most."""

_IMU_RANK = ("SCALED_IMU3", "SCALED_IMU2", "SCALED_IMU", "RAW_IMU", "HIGHRES_IMU")
_VELOCITY_IN_BODY = (dialect.MAV_FRAME_BODY_FRD, dialect.MAV_FRAME_BODY_NED)

Quaternion = tuple[float, float, float, float]


class Decoder:
    """Turns messages into events.

    The IMU comes from one kind of message at a time, the best that is sent: two would be two
    sensors. Odometry is ODOMETRY or, where that is not sent, LOCAL_POSITION_NED with the attitude.

    Attributes:
        clock: of messages that count from the autopilot's start.
        attitude: newest attitude x, y, z, w, from FRD to NED, with its stamp on our clock, ns.
        refused: number of messages that could not become an event.
        last_refusal: why the last of them could not.

    """

    def __init__(self) -> None:
        self.clock, self._unix_clock = DeviceClock(), DeviceClock()
        self.attitude: tuple[Quaternion, int] | None = None
        self.refused, self.last_refusal = 0, ""
        self._rates = (0.0, 0.0, 0.0)
        self._sources: dict[str, tuple[int, int]] = {}  # Rank and arrival, by measurement.
        self._decoders: dict[str, Callable[[Any, int], Event | None]] = {
            **dict.fromkeys(_IMU_RANK, self._imu),
            "ATTITUDE": self._attitude,
            "ATTITUDE_QUATERNION": self._attitude,
            "LOCAL_POSITION_NED": self._position,
            "ODOMETRY": self._odometry,
        }

    def decode(self, message: Any, arrival: int) -> Event | None:
        """Return the event of a message that arrived at `arrival` ns; None if it makes none."""
        decoder = self._decoders.get(message.get_type())
        if decoder is None:
            return None
        try:
            return decoder(message, arrival)
        except (EventError, ValueError, OverflowError) as error:
            self.refused, self.last_refusal = self.refused + 1, f"{message.get_type()}: {error}"
            return None

    def heading(self, now: int, oldest: int) -> float | None:
        """Yaw in radians, clockwise from north; None if it is older than `oldest` ns or steep."""
        if self.attitude is None or not 0 <= now - self.attitude[1] <= oldest:
            return None
        north, east, _ = rotate(self.attitude[0], (1.0, 0.0, 0.0))
        return math.atan2(east, north) if math.hypot(north, east) > 0.17 else None

    def _stamp(self, message: Any, arrival: int) -> int:
        microseconds = getattr(message, "time_usec", None)
        if microseconds is None:
            microseconds = message.time_boot_ms * 1000
        clock = self._unix_clock if microseconds >= UNIX_TIME else self.clock
        return clock.stamp(microseconds * 1000, arrival)

    def _chosen(self, measurement: str, rank: int, arrival: int) -> bool:
        """Whether a message of this rank carries the measurement now."""
        known, heard = self._sources.get(measurement, (-1, 0))
        if rank < known and arrival - heard <= SILENCE:
            return False
        self._sources[measurement] = (rank, arrival)
        return True

    def _imu(self, message: Any, arrival: int) -> ImuSample | None:
        kind = message.get_type()
        if "id" in message.fieldnames and message.id != 0:
            return None  # Another IMU of the same vehicle.
        if kind == "HIGHRES_IMU":
            updated = message.fields_updated & ALL_AXES
            if updated not in (0, ALL_AXES):  # 0: a sender that does not fill it in.
                return None
        stamp = self._stamp(message, arrival)
        if not self._chosen("imu", _IMU_RANK.index(kind), arrival):
            return None
        force, rate = (1.0, 1.0) if kind == "HIGHRES_IMU" else (MILLI_G, 1e-3)
        return ImuSample(
            stamp,
            arrival,
            np.array([message.xgyro * rate, -message.ygyro * rate, -message.zgyro * rate]),
            np.array([message.xacc * force, -message.yacc * force, -message.zacc * force]),
        )

    def _attitude(self, message: Any, arrival: int) -> None:
        stamp = self._stamp(message, arrival)
        quaternions = message.get_type() == "ATTITUDE_QUATERNION"
        if not self._chosen("attitude", int(quaternions), arrival):
            return
        if quaternions:
            attitude = (message.q2, message.q3, message.q4, message.q1)
        else:
            attitude = _from_euler(message.roll, message.pitch, message.yaw)
        self._keep(_unit(attitude), stamp)
        self._rates = (message.rollspeed, message.pitchspeed, message.yawspeed)

    def _keep(self, attitude: Quaternion, stamp: int) -> None:
        if self.attitude is None or stamp >= self.attitude[1]:
            self.attitude = (attitude, stamp)

    def _position(self, message: Any, arrival: int) -> Odometry | None:
        stamp = self._stamp(message, arrival)
        if self.attitude is None or abs(stamp - self.attitude[1]) > PAIRING:
            return None
        if not self._chosen("odometry", 0, arrival):
            return None
        attitude = self.attitude[0]
        velocity = rotate(inverse(attitude), (message.vx, message.vy, message.vz))
        position = (message.x, message.y, message.z)
        return _event(stamp, arrival, position, attitude, velocity, self._rates)

    def _odometry(self, message: Any, arrival: int) -> Odometry | None:
        stamp = self._stamp(message, arrival)
        if message.frame_id != dialect.MAV_FRAME_LOCAL_NED:
            raise EventError(f"frame_id is {message.frame_id}, not MAV_FRAME_LOCAL_NED (1)")
        if message.quality < 0:
            raise EventError("its sender says that the estimate has failed (quality -1)")
        w, x, y, z = message.q
        attitude = _unit((x, y, z, w))
        velocity = (message.vx, message.vy, message.vz)
        if message.child_frame_id == dialect.MAV_FRAME_LOCAL_NED:
            velocity = rotate(inverse(attitude), velocity)
        elif message.child_frame_id not in _VELOCITY_IN_BODY:
            raise EventError(
                f"child_frame_id is {message.child_frame_id}, neither body FRD (12) nor local NED"
            )
        if not self._chosen("odometry", 1, arrival):
            return None
        self._keep(attitude, stamp)
        rates = (message.rollspeed, message.pitchspeed, message.yawspeed)
        return _event(stamp, arrival, (message.x, message.y, message.z), attitude, velocity, rates)


def _event(
    stamp: int,
    arrival: int,
    position: tuple[float, float, float],
    attitude: Quaternion,
    velocity: tuple[float, float, float],
    rates: tuple[float, float, float],
) -> Odometry:
    """Odometry of position in NED, attitude from FRD to NED, velocity and rates in FRD."""
    return Odometry(
        stamp=stamp,
        arrival=arrival,
        position=np.array(rotate(ENU_FROM_NED, position)),
        orientation=np.array(compose(compose(ENU_FROM_NED, attitude), FRD_FROM_FLU)),
        linear_velocity=np.array(rotate(FRD_FROM_FLU, velocity)),
        angular_velocity=np.array(rotate(FRD_FROM_FLU, rates)),
    )


def _unit(quaternion: Quaternion) -> Quaternion:
    norm = math.sqrt(sum(value * value for value in quaternion))
    if not 0.9 < norm < 1.1:  # False for NaN too.
        raise EventError(f"its attitude is no rotation: a quaternion of length {norm:g}")
    x, y, z, w = (value / norm for value in quaternion)
    return (x, y, z, w)


def _from_euler(roll: float, pitch: float, yaw: float) -> Quaternion:
    """Attitude of intrinsic rotations about z by yaw, then y by pitch, then x by roll."""
    about_z = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    about_y = (0.0, math.sin(pitch / 2), 0.0, math.cos(pitch / 2))
    about_x = (math.sin(roll / 2), 0.0, 0.0, math.cos(roll / 2))
    return compose(compose(about_z, about_y), about_x)
