"""A scripted multicopter that speaks MAVLink over UDP, as PX4 or as ArduPilot, and flies.

It integrates what it is told in a world of its own, ENU, and does what the real ones do about
modes, arming, taking off, landing and a companion that falls silent.
"""

from __future__ import annotations

import itertools
import math
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("pymavlink", reason="pymavlink is not installed")

from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.mavlink.autopilots import AUTOPILOTS, HOLD, LAND, PX4, RETURN, TAKEOFF, Autopilot

GRAVITY = 9.81
QUICK = 4.0
"""m/s at which it takes off and lands; and m/s per m at which it returns."""
LAG = 0.1
"""s in which the velocity comes 63 % nearer to what it was told."""
BY_NAME = {autopilot.name: autopilot for autopilot in AUTOPILOTS}
DEADLINE = 60.0


def until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Wait until something is so, and fail if it never is."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


class ScriptedVehicle:
    """A multicopter on a thread, at the other end of ``udpout:127.0.0.1:PORT``.

    Args:
        name: px4 or ardupilot.
        heading: radians in ENU: 0 faces east, positive to the left.
        flying: whether it begins armed, in the air, in the mode that follows setpoints.
        rate: steps and IMU samples per second.
        system: its system id.

    """

    def __init__(
        self,
        name: str = "px4",
        heading: float = 0.0,
        *,
        flying: bool = False,
        rate: float = 100.0,
        system: int = 1,
        to: int | None = None,
    ) -> None:
        self.autopilot: Autopilot = BY_NAME[name]
        self.heading, self.home_heading = heading, heading
        self.position = [0.0, 0.0, 2.0 if flying else 0.0]
        self.velocity, self.yaw_rate = [0.0, 0.0, 0.0], 0.0
        self.armed, self.commanded = flying, flying
        self.mode = self.autopilot.commanded if flying else HOLD
        self.intended = self.mode
        self.system, self.kind, self.identity = system, 2, self.autopilot.identity
        # What a test may change in flight.
        self.unready = ""  # Why it refuses to be armed.
        self.refused: set[str] = set()  # Modes that it refuses.
        self.battery, self.estimator = 80, 0b111111
        self.patience = 2.0  # s without a setpoint after which PX4 holds.
        self.muted, self.answers_timesync, self.odometry = False, True, False
        self.imu_force = (0.0, 0.0, -GRAVITY)
        self.sends_imu, self.sends_motion = True, True
        self.clock_offset = 1000.0
        self.wind = [0.0, 0.0, 0.0]
        # What it was told.
        self.setpoints: list[Any] = []
        self.beats: list[int] = []
        self.orders: list[int] = []
        self.modes: list[str] = []
        self._target = [0.0, 0.0, 0.0]
        self._told_at = -math.inf
        self._take_off_to: float | None = None
        self._landed_at: float | None = None
        self._rate = rate
        self._codec = dialect.MAVLink(None, system, 1)
        self._codec.robust_parsing = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.peer = None if to is None else ("127.0.0.1", to)
        self._random = random.Random(7)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def address(self) -> str:
        return f"udpout:127.0.0.1:{self.port}"

    @property
    def height(self) -> float:
        return self.position[2]

    def __enter__(self) -> ScriptedVehicle:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def send(self, message: Any, system: int | None = None, component: int = 1) -> None:
        """Send a message, perhaps in the name of another one."""
        self._codec.srcSystem, self._codec.srcComponent = system or self.system, component
        data = message.pack(self._codec)
        self._codec.srcSystem, self._codec.srcComponent = self.system, 1
        self.send_bytes(data)

    def send_bytes(self, data: bytes) -> None:
        if self.peer is not None and not self.muted:
            self._socket.sendto(bytes(data), self.peer)

    def boot_us(self) -> int:
        return int((time.monotonic() + self.clock_offset) * 1e6) - _START_US

    # The thread.

    def _run(self) -> None:
        last = due = time.monotonic()
        for step in itertools.count():
            due += 1 / self._rate
            if self._closing.wait(max(due - time.monotonic(), 0.0)):
                return
            self._listen()
            now = time.monotonic()
            due = max(due, now - 0.2)  # A busy machine catches up with that much.
            self._fly(now, min(now - last, 0.1))
            last = now
            self._tell(step)

    def _listen(self) -> None:
        while True:
            try:
                data, source = self._socket.recvfrom(65536)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if self.muted:
                continue
            self.peer = source
            for message in self._codec.parse_buffer(data) or ():
                self._hear(message)

    def _hear(self, message: Any) -> None:
        kind = message.get_type()
        if kind == "HEARTBEAT":
            self.beats.append(message.system_status)
        elif kind == "TIMESYNC" and message.tc1 == 0 and self.answers_timesync:
            self.send(dialect.MAVLink_timesync_message(tc1=self.boot_us() * 1000, ts1=message.ts1))
        elif kind == "COMMAND_LONG" and message.target_system == self.system:
            self._obey(message)
        elif kind == "SET_POSITION_TARGET_LOCAL_NED" and message.target_system == self.system:
            self._aim(message)

    def _aim(self, message: Any) -> None:
        self.setpoints.append(message)
        forward, right, down = message.vx, message.vy, message.vz
        frame, px4 = message.coordinate_frame, self.autopilot is PX4
        yaw = math.pi / 2 - self.heading
        if frame in ((8,) if px4 else (8, 9)):
            north = math.cos(yaw) * forward - math.sin(yaw) * right
            east = math.sin(yaw) * forward + math.cos(yaw) * right
        elif frame == 1:
            north, east = forward, right
        else:
            return  # Neither knows another frame.
        if message.type_mask & 0b111000:
            return
        self._target = [east, north, -down]
        self.yaw_rate = 0.0 if message.type_mask & 2048 else -message.yaw_rate
        self._told_at = time.monotonic()

    def _obey(self, message: Any) -> None:
        order, result = message.command, dialect.MAV_RESULT_ACCEPTED
        self.orders.append(order)
        if order == dialect.MAV_CMD_COMPONENT_ARM_DISARM:
            result = self._arm(message.param1 > 0.5)
        elif order == dialect.MAV_CMD_DO_SET_MODE:
            number = int(message.param2)
            if self.autopilot is PX4:
                number = number << 16 | int(message.param3) << 24
            result = self._change_mode(self.autopilot.mode_name(number))
        elif order == dialect.MAV_CMD_NAV_TAKEOFF:
            result = self._take_off(message.param7)
        elif order != dialect.MAV_CMD_SET_MESSAGE_INTERVAL:
            result = dialect.MAV_RESULT_UNSUPPORTED
        self.send(dialect.MAVLink_command_ack_message(order, result))

    def _arm(self, arm: bool) -> int:
        if arm and self.unready:
            self.send(dialect.MAVLink_statustext_message(4, f"PreArm: {self.unready}".encode()))
            return int(dialect.MAV_RESULT_DENIED)
        if not arm and self.height > 0.1:
            return int(dialect.MAV_RESULT_DENIED)
        self.armed = arm
        return int(dialect.MAV_RESULT_ACCEPTED)

    def _change_mode(self, name: str) -> int:
        silent = time.monotonic() - self._told_at > 0.5
        if self.autopilot is PX4 and name == "OFFBOARD" and silent:
            return int(dialect.MAV_RESULT_TEMPORARILY_REJECTED)
        if name not in self.autopilot.modes or name in self.refused:
            return int(dialect.MAV_RESULT_DENIED)
        self.set_mode(name)
        return int(dialect.MAV_RESULT_ACCEPTED)

    def set_mode(self, name: str) -> None:
        """Change the mode, as a pilot with a transmitter may."""
        self.mode = self.intended = name
        self.modes.append(name)
        self._take_off_to = None
        self._target, self.yaw_rate = [0.0, 0.0, 0.0], 0.0

    def _take_off(self, altitude: float) -> int:
        if self.autopilot is not PX4 and (not self.armed or self.mode != "GUIDED"):
            return int(dialect.MAV_RESULT_FAILED)
        # PX4 is told the altitude above the sea; here the ground is at 100 m.
        height = altitude - 100 if self.autopilot is PX4 else altitude
        if self.autopilot is PX4:
            self.set_mode(TAKEOFF)
        self._take_off_to = height
        return int(dialect.MAV_RESULT_ACCEPTED)

    def _fly(self, now: float, dt: float) -> None:
        self._lose_companion(now)
        if not self.armed:
            self.velocity, self._landed_at = [0.0, 0.0, 0.0], None
            return
        wanted = self._wanted()
        share = 1 - math.exp(-dt / LAG)
        self.velocity = [v + share * (w - v) for v, w in zip(self.velocity, wanted, strict=True)]
        moved = [v + w for v, w in zip(self.velocity, self.wind, strict=True)]
        self.position = [p + dt * v for p, v in zip(self.position, moved, strict=True)]
        if self.mode == self.autopilot.commanded:
            self.heading += dt * self.yaw_rate
        if self.position[2] <= 0.0:
            self.position[2] = 0.0
            self.velocity[2] = max(self.velocity[2], 0.0)
            if self.mode in (LAND, RETURN):
                self._landed_at = self._landed_at or now
                self.armed = now - self._landed_at < 0.2
        elif self._take_off_to is not None and self.position[2] >= self._take_off_to - 0.1:
            self._take_off_to = None
            if self.autopilot is PX4:
                self.set_mode(HOLD)

    def _lose_companion(self, now: float) -> None:
        """Do as each autopilot does when setpoints stop, and when they come again."""
        silent = now - self._told_at
        if self.autopilot is PX4:
            if self.intended == "OFFBOARD":
                self.mode = HOLD if silent > self.patience and self.setpoints else "OFFBOARD"
        elif self.mode == "GUIDED" and silent > 3.0:
            self._target = [0.0, 0.0, 0.0]

    def _wanted(self) -> list[float]:
        if self._take_off_to is not None:
            left = self._take_off_to - self.position[2]
            return [0.0, 0.0, min(QUICK, 4 * left + 0.2)]
        if self.mode == self.autopilot.commanded:
            return self._target if self.position[2] > 0 or self._target[2] > 0 else [0.0] * 3
        if self.mode == LAND:
            return [0.0, 0.0, -QUICK]
        if self.mode == RETURN:
            away = math.hypot(*self.position[:2])
            if away > 0.2:
                return [-QUICK * self.position[0], -QUICK * self.position[1], 0.0]
            return [0.0, 0.0, -QUICK]
        return [0.0, 0.0, 0.0]

    def _tell(self, step: int) -> None:
        if self.peer is None or self.muted:
            return
        due = [1, max(1, round(self._rate / 50)), max(1, round(self._rate / 20))]
        if step % due[0] == 0 and self.sends_imu:
            self._tell_imu()
        if step % due[1] == 0 and self.sends_motion:
            self._tell_motion()
        if step % due[2] == 0:
            self._tell_state()

    def _tell_imu(self) -> None:
        noise = [self._random.gauss(0, 0.02) for _ in range(6)]
        force = [f + n for f, n in zip(self.imu_force, noise, strict=False)]
        rate = [noise[3] / 10, noise[4] / 10, -self.yaw_rate + noise[5] / 10]
        us = self.boot_us()
        if self.autopilot is PX4:
            rest = (0.2, 0.0, 0.4, 1013.0, 0.0, 0.0, 20.0, 63)
            self.send(dialect.MAVLink_highres_imu_message(us, *force, *rate, *rest))
        else:
            counts = [round(f / 9.80665 * 1000) for f in force] + [round(r * 1000) for r in rate]
            self.send(dialect.MAVLink_raw_imu_message(us, *counts, 200, 0, 400))

    def _tell_motion(self) -> None:
        ms, yaw = self.boot_us() // 1000 & 0xFFFFFFFF, math.pi / 2 - self.heading
        q = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
        rates = (0.0, 0.0, -self.yaw_rate)
        east, north, up = self.position
        v = (self.velocity[1], self.velocity[0], -self.velocity[2])
        self.send(dialect.MAVLink_attitude_quaternion_message(ms, *q, *rates))
        self.send(dialect.MAVLink_local_position_ned_message(ms, north, east, -up, *v))
        if self.odometry:
            body = (
                math.cos(yaw) * v[0] + math.sin(yaw) * v[1],
                -math.sin(yaw) * v[0] + math.cos(yaw) * v[1],
                v[2],
            )
            self.send(
                dialect.MAVLink_odometry_message(
                    self.boot_us(),
                    1,
                    12,
                    north,
                    east,
                    -up,
                    q,
                    *body,
                    *rates,
                    [0.0] * 21,
                    [0.0] * 21,
                )
            )

    def heartbeat(self) -> Any:
        armed = dialect.MAV_MODE_FLAG_SAFETY_ARMED if self.armed else 0
        mode = self.autopilot.modes[self.mode]
        return dialect.MAVLink_heartbeat_message(self.kind, self.identity, armed, mode, 4, 3)

    def _tell_state(self) -> None:
        ground = dialect.MAV_LANDED_STATE_ON_GROUND
        landed = ground if self.height <= 0.0 else dialect.MAV_LANDED_STATE_IN_AIR
        check = dialect.MAV_SYS_STATUS_PREARM_CHECK
        health = 0 if self.unready else check
        ms = self.boot_us() // 1000 & 0xFFFFFFFF
        altitude = round((100 + self.height) * 1000)
        status = (check, check, health, 100, 16000, 500, self.battery, *[0] * 6)
        self.send(self.heartbeat())
        self.send(dialect.MAVLink_sys_status_message(*status))
        self.send(dialect.MAVLink_extended_sys_state_message(0, landed))
        self.send(
            dialect.MAVLink_global_position_int_message(ms, 0, 0, altitude, 0, 0, 0, 0, 65535)
        )
        if self.autopilot is PX4:
            self.send(
                dialect.MAVLink_estimator_status_message(self.boot_us(), self.estimator, *[0.1] * 8)
            )
        else:
            self.send(dialect.MAVLink_ekf_status_report_message(self.estimator, *[0.1] * 5))


_START_US = int(time.monotonic() * 1e6)
