"""Commands and measurements have the right sign and unit at every heading, on both autopilots."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from liquid_nav.command import Command
from liquid_nav.events import Event, ImuSample, Odometry
from liquid_nav.mavlink.link import Link
from liquid_nav.rotations import yaw_of
from mavlink_support import GRAVITY, ScriptedVehicle, until

AUTOPILOTS = ("px4", "ardupilot")
FLIGHTS = {
    "forward": (1.0, 0.0, 0.0, 0.0),
    "left": (0.0, 1.0, 0.0, 0.0),
    "up": (0.0, 0.0, 1.0, 0.0),
    "turning left": (0.0, 0.0, 0.0, 1.0),
}


@pytest.fixture(params=AUTOPILOTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(vehicle: ScriptedVehicle, **options: Any) -> Link:
    link = Link(vehicle.address, **options)
    link.open()
    until(lambda: link.state.commanded and link.decoder.attitude, "the autopilot")
    return link


def fly(link: Link, vector: tuple[float, ...], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        link.command(Command(time.monotonic_ns(), *vector), fresh=True)
        time.sleep(0.01)


@pytest.mark.parametrize("frame", ["local", "body"])
def test_the_vehicle_moves_where_it_is_told_at_every_heading(name: str, frame: str) -> None:
    headings = [math.radians(degrees) for degrees in (0, 90, 180, 270)]
    with ThreadPoolExecutor(len(headings)) as pool:
        for _ in pool.map(lambda heading: check_directions(name, heading, frame), headings):
            pass


def check_directions(name: str, heading: float, frame: str) -> None:
    """Fly forward, left and up, and turn left; the vehicle's own world must agree."""
    with ScriptedVehicle(name, heading, flying=True) as vehicle:
        link = opened(vehicle, frame=frame)
        for flight, vector in FLIGHTS.items():
            vehicle.position, vehicle.velocity = [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]
            vehicle.heading = heading
            # The link must know the new heading before it turns velocities by it.
            until(
                lambda: abs(math.remainder(link_heading(link) - heading, math.tau)) < 0.01,
                "the heading",
            )
            until(lambda v=vector: moved(link, vehicle, heading, v) > 0.15, flight)
            # What is left of it must not move the vehicle in the next one.
            until(lambda: rests(link, vehicle), "a hover")
        link.close()


def rests(link: Link, vehicle: ScriptedVehicle) -> bool:
    fly(link, (0.0, 0.0, 0.0, 0.0), 0.03)
    return max(map(abs, vehicle.velocity)) < 0.02 and vehicle.yaw_rate == 0


def link_heading(link: Link) -> float:
    """Heading in ENU, as the link knows it."""
    yaw = link.decoder.heading(time.monotonic_ns(), 10**9)
    return math.nan if yaw is None else math.pi / 2 - yaw


def moved(link: Link, vehicle: ScriptedVehicle, heading: float, vector: tuple[float, ...]) -> float:
    """Fly on; how far it went as it was told, less how far it went otherwise."""
    fly(link, vector, 0.02)
    east, north, up = vehicle.position
    c, s = math.cos(heading), math.sin(heading)
    turned = math.remainder(vehicle.heading - heading, math.tau)
    way = np.array([c * east + s * north, c * north - s * east, up - 2.0, turned])
    along = float(way @ vector)
    across = float(np.linalg.norm(way - along * np.array(vector)))
    assert along > -0.05, way
    assert across < 0.05 + 0.2 * abs(along), way
    return along


def test_an_imu_at_rest_measures_g_upwards_and_a_turn_to_the_left_is_positive(name: str) -> None:
    events: list[Event] = []
    with ScriptedVehicle(name, flying=True) as vehicle:
        link = opened(vehicle, on_event=events.append)
        fly(link, (0.0, 0.0, 0.0, 0.6), 0.3)
        events.clear()
        fly(link, (0.0, 0.0, 0.0, 0.6), 0.3)
        link.close()
    samples = [event for event in events if isinstance(event, ImuSample)]
    force = np.mean([sample.specific_force for sample in samples], axis=0)
    rates = np.mean([sample.angular_velocity for sample in samples], axis=0)
    assert force == pytest.approx([0, 0, GRAVITY], abs=0.05)
    assert rates == pytest.approx([0, 0, 0.6], abs=0.02)


@pytest.mark.parametrize("name", AUTOPILOTS)
@pytest.mark.parametrize("odometry", [False, True])
def test_odometry_is_in_the_vehicles_world(name: str, odometry: bool) -> None:
    events: list[Event] = []
    with ScriptedVehicle(name, math.radians(120), flying=True) as vehicle:
        vehicle.odometry = odometry
        link = opened(vehicle, on_event=events.append)
        fly(link, (1.0, 0.5, 0.25, 0.0), 0.8)
        link.close()
        newest = [event for event in events if isinstance(event, Odometry)][-1]
        assert newest.position == pytest.approx(vehicle.position, abs=0.15)
        assert math.remainder(yaw_of(newest.orientation) - vehicle.heading, math.tau) == (
            pytest.approx(0.0, abs=1e-3)
        )
    assert newest.linear_velocity == pytest.approx([1.0, 0.5, 0.25], abs=0.15)


@pytest.fixture(params=["HIGHRES_IMU", "SCALED_IMU", "SCALED_IMU2", "SCALED_IMU3", "RAW_IMU"])
def imu_message(request: pytest.FixtureRequest) -> Any:
    from pymavlink.dialects.v20 import ardupilotmega as dialect

    kind = getattr(dialect, f"MAVLink_{request.param.lower()}_message")
    names = ("xacc", "yacc", "zacc", "xgyro", "ygyro", "zgyro")
    # 1 m/s^2 forward, 2 to the right, -9.8 down; 0.1 rad/s to the right, 0.2, 0.3.
    values = (1.0, 2.0, -9.80665, 0.1, 0.2, 0.3)
    if request.param != "HIGHRES_IMU":
        g = 9.80665
        values = (*(round(v / g * 1000) for v in values[:3]), 100, 200, 300)
    message = kind(**dict.fromkeys(kind.fieldnames, 0) | dict(zip(names, values, strict=True)))
    return message


def test_every_imu_message_has_its_units(imu_message: Any) -> None:
    from liquid_nav.mavlink.decode import Decoder

    event = Decoder().decode(imu_message, 10**9)
    assert isinstance(event, ImuSample)
    assert event.specific_force == pytest.approx([1.0, -2.0, 9.80665], abs=0.01)
    assert event.angular_velocity == pytest.approx([0.1, -0.2, -0.3], abs=1e-6)
