"""Rotors and battery against closed forms."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.airframe import BatteryParameters, VehicleParameters
from liquid_nav_sim.vehicle.battery import Battery
from liquid_nav_sim.vehicle.files import QUAD_250, VEHICLES, load_vehicle
from liquid_nav_sim.vehicle.rotors import PerRotor, Rotors

DT = 0.004
STEADY = replace(QUAD_250, battery=None)
CELL = BatteryParameters(
    capacity=1.0, full_voltage=4.2, empty_voltage=3.0, resistance=0.1, efficiency=0.5
)


def each(value: float) -> PerRotor:
    return (value, value, value, value)


@pytest.mark.parametrize("name", tuple(VEHICLES))
@pytest.mark.parametrize("dt", [0.001, 0.004, 0.01])
def test_motor_step_response_is_exact_at_any_step(name: str, dt: float) -> None:
    parameters = replace(load_vehicle(name), battery=None)
    rotors, thrust = Rotors(parameters), parameters.hover_thrust * 1.2
    rotors.start(each(0.0))
    final = math.sqrt(thrust / parameters.thrust_coefficient)
    for step in range(1, round(0.1 / dt) + 1):
        rotors.advance(each(thrust), dt)
        speed = final * (1 - math.exp(-step * dt / parameters.motor_time_constant))
        assert rotors.speeds == pytest.approx(each(speed), rel=1e-9)


@given(
    start=st.floats(0, 1700),
    thrust=st.floats(0, 4),
    dt=st.floats(1e-4, 0.02),
    share=st.floats(0.01, 0.99),
)
def test_one_step_is_two_shorter_ones(start: float, thrust: float, dt: float, share: float) -> None:
    whole, parts = Rotors(STEADY), Rotors(STEADY)
    whole.start(each(start))
    parts.start(each(start))
    whole.advance(each(thrust), dt)
    impulse = turned = twist = 0.0
    for part in (share * dt, (1 - share) * dt):
        parts.advance((thrust, thrust, thrust, thrust), part)
        impulse += parts.thrusts[0] * part
        turned += parts.mean_speed_sum * part
        twist += parts.reaction * part
    assert parts.speeds == pytest.approx(whole.speeds, rel=1e-9, abs=1e-9)
    assert impulse == pytest.approx(whole.thrusts[0] * dt, rel=1e-9, abs=1e-9)
    assert turned == pytest.approx(whole.mean_speed_sum * dt, rel=1e-9, abs=1e-9)
    assert twist == pytest.approx(whole.reaction * dt, abs=1e-9)


def test_thrust_is_clipped_to_what_rotors_give() -> None:
    rotors, full = Rotors(STEADY), STEADY.max_thrust
    rotors.advance((-5.0, 100.0, -5.0, 100.0), 2.0)
    rotors.advance((-5.0, 100.0, -5.0, 100.0), DT)
    assert rotors.thrusts == pytest.approx((0, full, 0, full))
    assert rotors.speeds[1] == pytest.approx(STEADY.max_rotor_speed)


def test_the_air_turns_the_body_against_the_spin_of_the_stronger_rotors() -> None:
    rotors = Rotors(STEADY)
    for _ in range(200):
        rotors.advance((1.5, 1.5, 1.0, 1.0), DT)
    assert rotors.reaction == pytest.approx(-STEADY.drag_torque_ratio * 1.0, rel=1e-6)


def test_voltage_under_load_solves_the_circuit() -> None:
    battery = Battery(CELL)
    battery.draw(2.0, DT)
    current = 2.0 / CELL.efficiency / battery.voltage
    assert battery.voltage == pytest.approx(CELL.full_voltage - CELL.resistance * current)
    assert battery.charge == pytest.approx(1 - current * DT / 3600)
    battery.draw(0.0, DT)
    assert battery.voltage == pytest.approx(CELL.full_voltage, rel=1e-5)


def test_charge_drains_by_the_energy_drawn() -> None:
    """Without resistance P dt = V dq, and V is linear in q: energy is charge times mean voltage."""
    battery, power = Battery(replace(CELL, resistance=0.0)), 3.0
    for _ in range(600):
        battery.draw(power, 1.0)
    charge, voltage = 1 - battery.charge, (CELL.full_voltage + battery.voltage) / 2
    assert charge * 3600 * CELL.capacity * voltage == pytest.approx(
        600 * power / CELL.efficiency, rel=1e-3
    )


def test_an_empty_battery_gives_nothing() -> None:
    battery = Battery(replace(CELL, capacity=0.001))
    for _ in range(30):
        battery.draw(2.0, 1.0)
    assert battery.charge == battery.voltage == battery.level == 0.0


def test_an_overload_pulls_the_voltage_down_to_half() -> None:
    battery = Battery(CELL)
    battery.draw(1000.0, DT)
    assert battery.voltage == pytest.approx(CELL.full_voltage / 2)


def test_full_thrust_is_proportional_to_the_square_of_the_voltage() -> None:
    parameters = replace(QUAD_250, battery=replace(CELL, resistance=0.001, capacity=100.0))
    rotors = Rotors(parameters)
    battery = rotors.battery
    assert battery is not None
    battery.charge = 0.5
    for _ in range(500):
        rotors.advance(each(100.0), DT)
    level = battery.voltage / 4.2
    assert 0.7 < level < 0.9
    assert rotors.full_thrust == pytest.approx(parameters.max_thrust * level**2)
    assert rotors.thrusts == pytest.approx(each(rotors.full_thrust), rel=1e-4)
    # Below full thrust, the speed controllers compensate for the lower voltage.
    for _ in range(500):
        rotors.advance(each(1.0), DT)
    assert rotors.thrusts == pytest.approx(each(1.0))


@pytest.mark.parametrize(
    ("name", "minutes"), [("crazyflie", (5, 9)), ("racing_250", (8, 15)), ("survey_1500", (12, 25))]
)
def test_batteries_last_as_long_as_real_ones(name: str, minutes: tuple[float, float]) -> None:
    parameters: VehicleParameters = load_vehicle(name)
    rotors, hovered = Rotors(parameters), 0.0
    while rotors.full_thrust > parameters.hover_thrust * 1.01:
        rotors.advance(each(parameters.hover_thrust), 1.0)
        hovered += 1 / 60
    assert minutes[0] < hovered < minutes[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capacity", 0.0),
        ("full_voltage", math.nan),
        ("empty_voltage", 4.3),
        ("resistance", -0.1),
        ("efficiency", 1.1),
    ],
)
def test_battery_parameter_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=rf"battery\.{name}"):
        replace(CELL, **{name: value})
