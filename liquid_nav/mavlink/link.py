"""A link to one autopilot: its measurements and its word come in, setpoints and orders go out."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import Event, Odometry
from liquid_nav.mavlink.authority import Authority
from liquid_nav.mavlink.autopilots import AUTOPILOTS, Autopilot, autopilot_of
from liquid_nav.mavlink.decode import Decoder
from liquid_nav.mavlink.orders import Orders
from liquid_nav.mavlink.setpoint import setpoint
from liquid_nav.mavlink.state import AutopilotState
from liquid_nav.mavlink.transport import Transport, address_fault, open_transport
from liquid_nav.rotations import rotate
from liquid_nav.values import SECOND

logger = logging.getLogger(__name__)

FRAMES = ("auto", "body", "local")
LARGEST = 100.0
"""m/s and rad/s. A larger command is a fault, and zero velocity goes out in its place."""

OLDEST_HEADING = SECOND // 2
"""ns. An older attitude turns no velocity into the local frame."""

HEARTBEAT_PERIOD = SECOND
FRESH_FOR = SECOND
"""ns for which the own heartbeat goes on after the last command of fresh inference."""

READ_TIMEOUT = 0.05

STREAMS: Mapping[str, float] = {
    "ATTITUDE_QUATERNION": 50.0,
    "LOCAL_POSITION_NED": 30.0,
    "GLOBAL_POSITION_INT": 2.0,
    "SYS_STATUS": 2.0,
    "EXTENDED_SYS_STATE": 5.0,
    "ESTIMATOR_STATUS": 2.0,
    "EKF_STATUS_REPORT": 2.0,
}
"""Hz of the messages that are asked for, beside that of the IMU."""


class Link:
    """Speaks with one autopilot, and reads it on a thread of its own.

    The companion is component 191 of the autopilot's own system. Its heartbeat goes out once a
    second: as standby while the vehicle does not follow it; while it does, only as long as
    commands of fresh inference come, so that no timer makes a dead policy look alive.

    `command` neither raises nor waits: what cannot be sent is refused, and `fault` says why.

    Args:
        address: see `liquid_nav.mavlink.transport`.
        system: system id of the autopilot; 0 takes the first one that is heard.
        frame: of the velocities: body, local (turned here by the attitude that the autopilot
            sends), or auto: local for PX4, body for ArduPilot.
        rate: setpoints per second at most; a change of mode goes out at once.
        imu_rate: samples per second that the autopilot is asked for.
        on_event: called with each measurement, on the thread of the link.
        shared: see `open_transport`.

    Attributes:
        state: what the autopilot says about itself.
        decoder: where measurements are made.
        authority: whether the vehicle follows us.
        orders: commands that the autopilot answers.
        rate: as given.
        on_event: as given; may be set before `open`.
        fault: why the last command was not sent as it was asked for; empty when it was.
        setpoints: number of setpoints that were sent.
        strangers: number of messages of other systems and components on the same link.
        damaged: number of pieces of data that were no message.

    Raises:
        ConfigError: on an address or a frame that is none, or a rate that is not positive.

    """

    def __init__(
        self,
        address: str,
        *,
        system: int = 0,
        frame: str = "auto",
        rate: float = 50.0,
        imu_rate: float = 200.0,
        on_event: Callable[[Event], object] | None = None,
        shared: bool = False,
    ) -> None:
        fault = address_fault(address)
        if fault:
            raise ConfigError(fault)
        if frame not in FRAMES:
            raise ConfigError(f"frame must be one of {', '.join(FRAMES)}, got {frame!r}")
        if not (0 <= system <= 255 and rate > 0 and imu_rate > 0):
            raise ConfigError(
                f"system must be in [0, 255] and rates positive, got {system}, {rate}, {imu_rate}"
            )
        self.address, self._shared, self._frame = address, shared, frame
        self.on_event, self.rate, self._imu_rate = on_event, rate, imu_rate
        self._period = round(SECOND / rate)
        self._wanted_system = system
        self.state, self.decoder, self.authority = AutopilotState(), Decoder(), Authority()
        self.orders = Orders(self)
        self.fault, self.setpoints, self.strangers, self.damaged = "", 0, 0, 0
        self._system = self._component = 0
        self._refusal = ""  # Why the autopilot that was heard cannot be flown.
        self._odometry: Odometry | None = None
        self._sent = Command(0, mode=Mode.HOVER)
        self._sent_at = self._fresh_at = -SECOND * 10
        self._requests = 0  # How often streams are still to be asked for.
        self._questions: set[int] = set()  # Times of TIMESYNC that are unanswered.
        self._next_beat = self._next_question = 0
        self._transport: Transport | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._codec: Any = dialect.MAVLink(None)
        self._codec.robust_parsing = True
        self._codec.srcSystem = system or 1
        self._codec.srcComponent = dialect.MAV_COMP_ID_ONBOARD_COMPUTER

    def open(self) -> None:
        """Open the transport and begin to read.

        Raises:
            ConfigError: as `open_transport`.

        """
        if self._transport is None:
            self._transport = open_transport(self.address, self._shared)
            self._closing.clear()
            self._thread = threading.Thread(target=self._read, name="mavlink", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop reading, and close the transport; `open` may follow."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    # Commands.

    def command(self, command: Command, fresh: bool) -> Command | None:
        """Send a command, or what is safe in its place.

        Args:
            command: in the heading frame.
            fresh: whether inference is fresh; without it no nominal command is sent.

        Returns:
            The command that was sent, with its reason if it is not the one asked for; None when
            nothing was sent: it was withheld, or the one before was sent less than a period ago.

        """
        now, self.fault = time.monotonic_ns(), ""
        autopilot = self.watch(now)
        if autopilot is None:
            self.fault = f"withheld: {self.unknown}"
        elif self.authority.lapsed:
            self.fault = f"withheld: {self.authority.lapsed}"
        elif command.mode is Mode.NOMINAL and not fresh:
            self.fault = "withheld: inference is not fresh"
        if autopilot is None or self.fault:
            return None
        if fresh:
            self._fresh_at = now
        if not all(abs(value) <= LARGEST for value in command.vector):  # False for NaN too.
            command = self._at_rest(command, "the command is not finite")
        if not self.authority.held:
            command = self._at_rest(command, f"the vehicle is not armed in {autopilot.commanded}")
        frame = autopilot.body_frame
        yaw = self.decoder.heading(now, OLDEST_HEADING)
        if (autopilot.frame if self._frame == "auto" else self._frame) == "local":
            frame = dialect.MAV_FRAME_LOCAL_NED
            if yaw is None and (command.vx or command.vy):
                vz = command.vz if command.mode is Mode.LAND else 0.0
                command = self._at_rest(command, "no attitude to turn the velocity by", vz)
        if now - self._sent_at < self._period and command.mode is self._sent.mode:
            return None
        command = self.authority.begin(command, now)
        boot = (now - self.decoder.clock.offset(now)) // 1_000_000
        target = (self._system, self._component)
        if not self.send(setpoint(command, max(boot, 0), *target, frame, yaw or 0.0)):
            self.fault = "withheld: the link takes no data"
            return None
        self._sent, self._sent_at = command, now
        self.setpoints += 1
        return command

    def watch(self, now: int) -> Autopilot | None:
        """Let the authority follow the autopilot's word at `now`, ns; return the autopilot."""
        self.authority.update(self.state, now, self._velocity(now))
        return self.state.autopilot

    @property
    def unknown(self) -> str:
        """Why there is no autopilot to command, in words."""
        return self._refusal or f"no autopilot has been heard at {self.address}"

    def _at_rest(self, command: Command, why: str, vz: float = 0.0) -> Command:
        mode = Mode.HOVER if command.mode is Mode.NOMINAL else command.mode
        self.fault = f"refused: {why}"
        reason = "; ".join(filter(None, (command.reason, f"mavlink: {why}")))
        return replace(command, vx=0.0, vy=0.0, vz=vz, yaw_rate=0.0, mode=mode, reason=reason)

    def _velocity(self, now: int) -> Command | None:
        """Velocity of the vehicle in the heading frame; None if it is not known."""
        odometry, yaw = self._odometry, self.decoder.heading(now, OLDEST_HEADING)
        if odometry is None or yaw is None or now - odometry.stamp > OLDEST_HEADING:
            return None
        velocity = rotate(odometry.orientation.tolist(), odometry.linear_velocity.tolist())
        if not all(abs(value) <= LARGEST for value in velocity):
            return None
        east, north, up = velocity
        c, s = math.cos(yaw), math.sin(yaw)
        return Command(now, c * north + s * east, s * north - c * east, up)

    def handover(self) -> dict[str, str]:
        """What another process needs to go on commanding this vehicle."""
        autopilot, transport = self.state.autopilot, self._transport
        if autopilot is None or transport is None:
            return {}
        return {
            "autopilot": autopilot.name,
            "system": str(self._system),
            "component": str(self._component),
            "peer": transport.peer,
            "held": str(int(self.authority.held)),
            "lapsed": self.authority.lapsed,
        }

    def take_over(self, values: Mapping[str, str]) -> None:
        """Go on from the `handover` of another process, before anything was heard.

        What is missing there, or cannot be read, is as if nothing was known.
        """
        found = [a for a in AUTOPILOTS if a.name == values.get("autopilot")]
        system, component = values.get("system", ""), values.get("component", "")
        if not (found and system.isdecimal() and component.isdecimal()):
            return
        self._adopt(found[0], int(system), int(component))
        if self._transport is not None:
            self._transport.answer_to(values.get("peer", ""))
        if values.get("held") == "1":
            self.authority.take_over()
        self.authority.lapsed = values.get("lapsed", "")

    def send(self, message: Any) -> bool:
        """Send a message; whether it has left."""
        transport = self._transport
        if transport is None:
            return False
        with self._lock:
            data = message.pack(self._codec)
            self._codec.seq = (self._codec.seq + 1) % 256
            return transport.send(data)

    @property
    def target(self) -> tuple[int, int]:
        """System and component of the autopilot; zeros before it is known."""
        return self._system, self._component

    # What follows runs on the thread of the link.

    def _read(self) -> None:
        transport = self._transport
        assert transport is not None
        while not self._closing.is_set():
            data, sender = transport.receive(READ_TIMEOUT)
            now = time.monotonic_ns()
            try:
                for message in (self._codec.parse_buffer(data) or ()) if data else ():
                    self._take(message, now, sender, transport)
                self._keep_up(now)
            except Exception:  # The vehicle flies on: so must the link.
                self.damaged += 1
                logger.exception("%s: a message could not be read", self.address)

    def _take(self, message: Any, now: int, sender: str, transport: Transport) -> None:
        kind = message.get_type()
        if kind == "BAD_DATA":
            self.damaged += 1
            return
        source = (message.get_srcSystem(), message.get_srcComponent())
        if kind == "HEARTBEAT":
            if not self._identify(message, source):
                return
            transport.answer_to(sender)
        if source != self.target:
            self.strangers += self._system != 0
            return
        self.state.take(message, now)
        if kind == "TIMESYNC":
            self._synchronise(message, now)
        elif kind == "COMMAND_ACK":
            self.orders.answer(message)
        event = self.decoder.decode(message, now)
        if event is not None:
            if isinstance(event, Odometry):
                self._odometry = event
            if self.on_event is not None:
                self.on_event(event)

    def _identify(self, heartbeat: Any, source: tuple[int, int]) -> bool:
        """Whether a heartbeat is that of the autopilot, which it makes known."""
        system, component = source
        known = self.state.autopilot
        autopilot = component == dialect.MAV_COMP_ID_AUTOPILOT1
        if not autopilot or system != (self._system or self._wanted_system or system):
            self.strangers += 1
            return False
        found = autopilot_of(heartbeat)
        if isinstance(found, str):
            self._refusal = f"system {system}: {found}"
            self.strangers += known is not None
            return False
        if known is None:
            self._adopt(found, system, component)
            logger.info("%s: system %d flies %s", self.address, system, found.name)
        elif found is not known:
            self.strangers += 1
            return False
        last = self.state.heartbeat
        if last is None or self.state.silence(time.monotonic_ns()) > 1:
            self._requests = 3  # It is new, or was started again.
        return True

    def _adopt(self, autopilot: Autopilot, system: int, component: int) -> None:
        self.state.autopilot = autopilot
        self._system, self._component = system, component
        self._codec.srcSystem = system

    def _synchronise(self, message: Any, now: int) -> None:
        if message.tc1 == 0:
            self.send(dialect.MAVLink_timesync_message(tc1=now, ts1=message.ts1))
        elif message.ts1 in self._questions:
            self._questions.clear()
            self.decoder.clock.exchange(message.ts1, message.tc1, now)

    def _keep_up(self, now: int) -> None:
        """Send what is due: heartbeat, question for the time, questions for streams."""
        if self._system and now >= self._next_question:
            self._next_question = now + (SECOND if self.decoder.clock.synchronised else SECOND // 5)
            self._questions = {*sorted(self._questions)[-3:], now}
            self.send(dialect.MAVLink_timesync_message(tc1=0, ts1=now))
        if now < self._next_beat:
            return
        self._next_beat = now + HEARTBEAT_PERIOD
        held = self.authority.held
        if not held or now - self._fresh_at <= FRESH_FOR:
            status = dialect.MAV_STATE_ACTIVE if held else dialect.MAV_STATE_STANDBY
            self.send(
                dialect.MAVLink_heartbeat_message(
                    type=dialect.MAV_TYPE_ONBOARD_CONTROLLER,
                    autopilot=dialect.MAV_AUTOPILOT_INVALID,
                    base_mode=0,
                    custom_mode=0,
                    system_status=status,
                    mavlink_version=3,
                )
            )
        if self._requests > 0:
            self._requests -= 1
            self._ask_for_streams()

    def _ask_for_streams(self) -> None:
        autopilot = self.state.autopilot
        assert autopilot is not None
        for name, rate in {autopilot.imu[0]: self._imu_rate, **STREAMS}.items():
            number = getattr(dialect, f"MAVLINK_MSG_ID_{name}")
            self.orders.send(dialect.MAV_CMD_SET_MESSAGE_INTERVAL, number, 1e6 / rate)
