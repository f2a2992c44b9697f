"""What a link does on damaged bytes, strangers, silence, wrong autopilots, and clocks that leap."""

import math
import os
import random
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.command import Command, Mode
from liquid_nav.errors import ConfigError
from liquid_nav.events import Event
from liquid_nav.mavlink.autopilots import HOLD
from liquid_nav.mavlink.link import Link
from mavlink_support import ScriptedVehicle, until

FORWARD = (1.0, 0.0, 0.0, 0.0)


@contextmanager
def flight(
    name: str = "px4", address: str | None = None, **options: Any
) -> Iterator[tuple[ScriptedVehicle, Link]]:
    """A vehicle in the air that follows setpoints, and the link to it."""
    with ScriptedVehicle(name, flying=True) as vehicle:
        link = Link(address or vehicle.address, **options)
        link.open()
        try:
            until(lambda: link.state.commanded and link.decoder.attitude, "the autopilot")
            yield vehicle, link
        finally:
            link.close()


def fly(link: Link, condition: Callable[[], object], what: str, *vector: float) -> None:
    """Send a command, forward by default, until something is so."""

    def step() -> object:
        link.command(Command(time.monotonic_ns(), *(vector or FORWARD)), fresh=True)
        time.sleep(0.005)
        return condition()

    until(step, what)


@pytest.mark.parametrize("name", ["px4", "ardupilot"])
def test_damaged_bytes_among_the_messages_change_nothing(name: str) -> None:
    chance = random.Random(3)
    with flight(name) as (vehicle, link):
        for _ in range(200):
            noise = chance.randbytes(chance.randrange(1, 60))
            message = bytearray(vehicle.heartbeat().pack(vehicle._codec))
            message[chance.randrange(len(message))] ^= 1 << chance.randrange(8)
            vehicle.send_bytes(chance.choice((noise, bytes(message), bytes(message[:-3]))))
        fly(link, lambda: link.damaged > 50, "damage that is counted")
        fly(link, lambda: vehicle.position[0] > 0.3, "a flight forward")
        assert link.state.autopilot is vehicle.autopilot
        assert abs(vehicle.position[1]) < 0.1


def test_other_vehicles_and_components_on_the_link_are_not_listened_to() -> None:
    with flight() as (vehicle, link):
        q = (math.cos(1.0), 0.0, 0.0, math.sin(1.0))
        for _ in range(50):
            # Another vehicle, landed; a ground station; a camera of this vehicle.
            vehicle.send(dialect.MAVLink_heartbeat_message(2, 12, 0, 0, 3, 3), system=2)
            vehicle.send(dialect.MAVLink_heartbeat_message(6, 8, 192, 0, 4, 3), system=255)
            vehicle.send(dialect.MAVLink_heartbeat_message(30, 8, 0, 0, 4, 3), component=100)
            vehicle.send(dialect.MAVLink_attitude_quaternion_message(0, *q, 0, 0, 0), system=2)
        fly(link, lambda: link.strangers >= 200, "strangers that are counted")
        fly(link, lambda: vehicle.position[0] > 0.3, "a flight forward")
        assert abs(vehicle.position[1]) < 0.1
        assert link.authority.held


def test_the_autopilot_of_the_system_that_was_asked_for_is_taken() -> None:
    with ScriptedVehicle("ardupilot", flying=True, system=7) as vehicle:
        link = Link(vehicle.address, system=9)
        link.open()
        until(lambda: link.strangers > 3, "heartbeats of system 7")
        assert link.state.autopilot is None
        assert link.command(Command(0), fresh=True) is None
        assert "no autopilot has been heard" in link.fault
        link.close()
        link = Link(vehicle.address, system=7)
        link.open()
        until(lambda: link.state.autopilot, "system 7")
        link.close()


@pytest.mark.parametrize(
    ("identity", "kind", "words"),
    [
        (dialect.MAV_AUTOPILOT_GENERIC, 2, "MAV_AUTOPILOT_GENERIC; only PX4 and ArduPilot"),
        (dialect.MAV_AUTOPILOT_PX4, 1, "MAV_TYPE_FIXED_WING; only multicopters"),
        (dialect.MAV_AUTOPILOT_ARDUPILOTMEGA, 10, "MAV_TYPE_GROUND_ROVER; only multicopters"),
        (200, 250, "the autopilot is 200"),
    ],
)
def test_what_cannot_be_flown_gets_no_setpoint_and_is_named(
    identity: int, kind: int, words: str
) -> None:
    with ScriptedVehicle(flying=True) as vehicle:
        vehicle.identity, vehicle.kind = identity, kind
        link = Link(vehicle.address)
        link.open()
        fly(link, lambda: words in link.fault, words)
        assert vehicle.setpoints == []
        link.close()


@pytest.mark.parametrize("name", ["px4", "ardupilot"])
def test_a_link_that_falls_silent_lapses_and_stays_so_until_it_is_released(name: str) -> None:
    with flight(name) as (vehicle, link):
        fly(link, lambda: vehicle.position[0] > 0.2, "a flight forward")
        vehicle.muted = True
        fly(link, lambda: "silent for 1 s" in link.fault, "the loss")
        heard = link.state.heard
        vehicle.muted = False
        fly(link, lambda: link.state.heard != heard and vehicle.peer, "the link's return")
        count, seen = len(vehicle.setpoints), link.state.times["HEARTBEAT"]
        fly(link, lambda: link.state.times["HEARTBEAT"] > seen + 5e8, "more heartbeats")
        assert len(vehicle.setpoints) <= count + 1
        assert "silent" in link.fault
        link.authority.release()
        # PX4 takes the mode again by itself once it is shown setpoints; at rest at first.
        x = vehicle.position[0]
        fly(link, lambda: vehicle.position[0] > x + 0.2, "a flight after the release")
        assert link.authority.held


@pytest.mark.parametrize("name", ["px4", "ardupilot"])
def test_a_pilot_who_takes_the_vehicle_keeps_it(name: str) -> None:
    with flight(name) as (vehicle, link):
        fly(link, lambda: vehicle.position[0] > 0.2, "a flight forward")
        vehicle.set_mode(HOLD)
        fly(link, lambda: f"to {HOLD}" in link.fault, "the loss")
        time.sleep(0.05)
        count = len(vehicle.setpoints)
        vehicle.set_mode(vehicle.autopilot.commanded)
        until(lambda: link.state.commanded, "the mode")
        fly(link, lambda: link.fault, "nothing sent")
        assert len(vehicle.setpoints) == count
        link.authority.release()
        fly(link, lambda: link.authority.held and not link.fault, "control")


def test_a_disarmed_vehicle_is_commanded_no_more() -> None:
    with flight() as (vehicle, link):
        fly(link, lambda: link.authority.held, "control")
        vehicle.armed = False
        fly(link, lambda: "disarmed" in link.fault, "the loss")


def test_a_nominal_command_needs_fresh_inference_and_a_failsafe_does_not() -> None:
    with flight() as (vehicle, link):
        fly(link, lambda: link.authority.held, "control")
        count = len(vehicle.setpoints)
        assert link.command(Command(time.monotonic_ns(), *FORWARD), fresh=False) is None
        assert "fresh" in link.fault
        assert len(vehicle.setpoints) - count <= 1
        hover = Command(time.monotonic_ns(), mode=Mode.HOVER, reason="camera: stale")
        sent = link.command(hover, fresh=False)
        assert sent is not None
        assert sent.mode is Mode.HOVER


def test_the_own_heartbeat_ends_with_fresh_inference() -> None:
    with flight() as (vehicle, link):
        until(lambda: dialect.MAV_STATE_STANDBY in vehicle.beats, "a heartbeat")
        fly(link, lambda: dialect.MAV_STATE_ACTIVE in vehicle.beats, "an active heartbeat")
        until(lambda: not link.decoder.clock.jumps and _failsafes(link, 1.2), "failsafes")
        count = len(vehicle.beats)
        _failsafes(link, 1.2)
        assert len(vehicle.beats) == count


def _failsafes(link: Link, seconds: float) -> bool:
    """Hover on stale inference for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        link.command(Command(time.monotonic_ns(), mode=Mode.HOVER, reason="stale"), fresh=False)
        time.sleep(0.02)
    return True


def test_before_the_mode_only_a_hover_is_sent() -> None:
    with flight() as (vehicle, link):
        vehicle.set_mode(HOLD)
        link.authority.release()
        until(lambda: link.state.mode == HOLD, "the mode")
        fly(link, lambda: len(vehicle.setpoints) > 5, "setpoints", 2.0, 0.0, 0.0, 0.0)
        assert "not armed in OFFBOARD" in link.fault
        assert all(point.vx == point.vy == 0 for point in vehicle.setpoints)
        vehicle.setpoints.clear()
        vehicle.set_mode("OFFBOARD")
        fly(link, lambda: vehicle.position[0] > 0.5, "a flight", 2.0, 0.0, 0.0, 0.0)
        assert max(point.vx for point in vehicle.setpoints) <= 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e6])
def test_what_is_not_finite_never_leaves(value: float) -> None:
    with flight() as (vehicle, link):
        fly(link, lambda: "not finite" in link.fault, "a refusal", value, 0.0, 0.0, 0.0)
        until(lambda: vehicle.setpoints, "a setpoint")
        assert all(point.vx == point.vy == point.vz == 0 for point in vehicle.setpoints)


def test_without_an_attitude_nothing_is_turned_into_the_local_frame() -> None:
    with flight("px4") as (vehicle, link):
        fly(link, lambda: link.authority.held and not link.fault, "control")
        link.decoder.attitude = None
        vehicle.sends_motion = False
        fly(link, lambda: "no attitude" in link.fault, "a refusal")


def test_an_autopilot_that_is_started_again_in_flight_gives_stamps_of_now() -> None:
    events: list[Event] = []
    with flight(on_event=events.append) as (vehicle, link):
        until(lambda: len(events) > 20, "events")
        vehicle.clock_offset -= 900.0
        until(lambda: link.decoder.clock.jumps, "the leap")
        events.clear()
        until(lambda: len(events) > 20, "events after it")
        assert max(event.latency for event in events) < 10e9


def test_a_serial_line_carries_the_same_flight() -> None:
    master, slave = os.openpty()
    with ScriptedVehicle("ardupilot", flying=True) as vehicle:
        bridge = Bridge(master, vehicle.port)
        link = Link(f"serial:{os.ttyname(slave)}:115200")
        link.open()
        try:
            until(lambda: link.state.commanded, "the autopilot")
            fly(link, lambda: vehicle.position[0] > 0.3, "a flight forward")
        finally:
            link.close()
            bridge.close()
            os.close(slave)


class Bridge:
    """Carries bytes between the other end of a line and a port."""

    def __init__(self, line: int, port: int) -> None:
        import socket

        self._line, self._socket = line, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            for ready in select.select([self._line, self._socket], [], [], 0.05)[0]:
                if ready is self._socket:
                    os.write(self._line, self._socket.recv(4096))
                else:
                    self._socket.send(os.read(self._line, 4096))

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        os.close(self._line)
        self._socket.close()


def test_another_process_goes_on_without_having_heard_anything() -> None:
    with ScriptedVehicle(flying=True) as vehicle:
        first = Link("udp:127.0.0.1:0", shared=True)
        first.open()
        port = first._transport.port  # type: ignore[union-attr]
        vehicle.peer = ("127.0.0.1", port)
        until(lambda: first.state.commanded and first.decoder.attitude, "the autopilot")
        fly(first, lambda: vehicle.position[0] > 0.2, "a flight forward")
        handover = first.handover()
        second = Link(f"udp:127.0.0.1:{port}", shared=True)
        second.open()
        second.take_over(handover)
        count = len(vehicle.setpoints)
        hover = Command(time.monotonic_ns(), mode=Mode.HOVER, reason="the controller is dead")
        assert second.command(hover, fresh=False) == hover
        until(lambda: len(vehicle.setpoints) > count, "its setpoint")
        assert vehicle.setpoints[-1].vx == vehicle.setpoints[-1].vy == 0
        second.close()
        first.close()


@pytest.mark.parametrize(
    "address",
    ["", "udp", "udp:", "udp:x", "udp:1.2.3.4", "udp:host:70000", "udpout:14540", "tcp:1:2",
     "serial:", "serial:/dev/tty:12345", "mavlink:udp:14540"],
)  # fmt: skip
def test_an_address_that_is_none_is_told_with_the_forms_there_are(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^address "):
        Link(address).open()


def test_a_port_that_is_taken_and_a_device_that_is_missing_are_named() -> None:
    first = Link("udp:127.0.0.1:0")
    first.open()
    port = first._transport.port  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: Address already in use"):
        Link(f"udp:127.0.0.1:{port}").open()
    first.close()
    with pytest.raises(ConfigError, match="/dev/no_such_device: No such file"):
        Link("serial:/dev/no_such_device:57600").open()
