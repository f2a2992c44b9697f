"""Autopilots other than the nominal one: late, slow, inaccurate, or stiff."""

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest

from flying_support import DT, HEIGHT, fly, velocity
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.vehicle.autopilot_model import (
    AUTOPILOTS,
    AutopilotModel,
    draw_autopilot,
    load_autopilot,
)
from liquid_nav_sim.vehicle.files import VEHICLES, load_vehicle
from liquid_nav_sim.vehicle.setpoints import Setpoint
from liquid_nav_sim.world import World

HOVER, FORWARD = velocity(0.0, 0.0, 0.0, 0.0), velocity(1.0, 0.0, 0.0, 0.0)
DRAWN = [draw_autopilot(np.random.default_rng(seed)) for seed in range(8)]


def noisy(
    seed: int, acceleration: float = 12.0, rate: float = 200.0
) -> Callable[[float], Setpoint]:
    """Setpoints of a hover whose vz is noise of 0.28 m/s behind a limit of acceleration."""
    rng, wait = np.random.default_rng(seed), 1 / rate
    now, due = 0.0, 0.0

    def at(time: float) -> Setpoint:
        nonlocal now, due
        if time >= due:
            due += wait
            now += float(
                np.clip(rng.normal(0, 0.28) - now, -acceleration * wait, acceleration * wait)
            )
        return velocity(0.0, 0.0, now, 0.0)

    return at


@pytest.mark.parametrize("delay", [0.06, 0.15])
def test_a_delayed_setpoint_gives_the_same_flight_later(delay: float) -> None:
    prompt = fly((0.5, HOVER), (2.0, FORWARD))
    late = fly((0.5, HOVER), (2.0, FORWARD), model=AutopilotModel(setpoint_delay=delay))
    steps = round(delay / DT)
    np.testing.assert_allclose(late.velocity[steps:], prompt.velocity[:-steps], atol=1e-3)


def test_less_bandwidth_takes_longer() -> None:
    """The reference of the nominal autopilot needs 0.333 s for 63 % of a step."""
    climb, times = velocity(0.0, 0.0, 0.5, 0.0), []
    for bandwidth in (2.0, 1.0, 0.4):
        flight = fly((4.0, climb), model=AutopilotModel(bandwidth=bandwidth))
        times.append(flight.time[np.argmax(flight.velocity[:, 2] >= 0.632 * 0.5)])
    assert times[2] - times[1] == pytest.approx(0.833 - 0.333, rel=0.1)
    assert times[1] - times[0] == pytest.approx(0.333 - 0.167, rel=0.1)


@pytest.mark.parametrize("damping", [0.4, 0.7, 1.2])
def test_velocity_overshoots_as_its_damping_says(damping: float) -> None:
    """In the vertical, where thrust acts at once: exp(-pi d / sqrt(1 - d^2)) of the step."""
    step = velocity(0.0, 0.0, 0.5, 0.0)
    flight = fly((12.0, step), model=AutopilotModel(damping=damping, bandwidth=0.5))
    theory = np.exp(-np.pi * damping / np.sqrt(1 - damping**2)) if damping < 1 else 0.0
    assert flight.velocity[:, 2].max() / 0.5 - 1 == pytest.approx(theory, abs=0.03)
    assert flight.velocity[-1, 2] == pytest.approx(0.5, abs=0.005)


def test_gains_and_bias_are_errors_of_the_steady_velocity() -> None:
    model = AutopilotModel(
        forward_gain=0.9, left_gain=1.1, up_gain=0.8, yaw_gain=1.2, vertical_bias=-0.1
    )
    flight = fly((6.0, velocity(1.0, 0.5, 0.3, 0.0)), model=model)
    np.testing.assert_allclose(flight.velocity[-1], (0.9, 0.55, 0.14), atol=0.01)
    turning = fly((3.0, velocity(0.0, 0.0, 0.0, 1.0)), model=model)
    np.testing.assert_allclose(turning.yaw_rate[-1], 1.2, atol=0.01)
    assert turning.velocity[-1, 2] == pytest.approx(-0.1, abs=0.005)


@pytest.mark.parametrize("vehicle", tuple(VEHICLES))
@pytest.mark.parametrize("name", tuple(AUTOPILOTS))
def test_every_named_autopilot_is_stable_under_steady_setpoints(name: str, vehicle: str) -> None:
    model = load_autopilot(name)
    is_stable_in_a_quiet_flight(model, vehicle)


@pytest.mark.parametrize("vehicle", tuple(VEHICLES))
@pytest.mark.parametrize("model", DRAWN, ids=range(len(DRAWN)))
def test_every_drawn_autopilot_is_stable_under_steady_setpoints(
    model: AutopilotModel, vehicle: str
) -> None:
    is_stable_in_a_quiet_flight(model, vehicle)


def is_stable_in_a_quiet_flight(model: AutopilotModel, vehicle: str) -> None:
    flight = fly(
        (14.0, velocity(1.0, 0.0, 0.3, 0.5)), parameters=load_vehicle(vehicle), model=model
    )
    late, slow = flight.time > 12.0, 0.12
    forward, left, up = flight.velocity.T
    assert np.abs(forward[late] - model.forward_gain).max() < slow
    assert np.abs(left[late]).max() < slow
    assert np.abs(up[late] - 0.3 * model.up_gain - model.vertical_bias).max() < 0.05
    assert np.abs(flight.yaw_rate[late] - 0.5 * model.yaw_gain).max() < 0.05
    # Nothing rings: neither the thrust nor the body rates.
    assert flight.thrust[late].std() < 0.1
    assert flight.rates[late].std(axis=0).max() < 0.05
    assert flight.tilt.max() < np.radians(45)


@pytest.mark.parametrize("name", ["stiff", "twitchy"])
def test_a_stiff_autopilot_turns_noise_of_vz_into_thrust(name: str) -> None:
    smooth = fly((6.0, noisy(1)))
    stiff = fly((6.0, noisy(1)), model=load_autopilot(name))
    gentle = fly((6.0, noisy(1, acceleration=4.0)), model=load_autopilot(name))
    assert smooth.thrust.std() < 0.3
    assert stiff.thrust.std() > 1.2
    assert gentle.thrust.std() < stiff.thrust.std()


def test_saturated_rotors_sink_under_a_setpoint_whose_mean_is_zero() -> None:
    weak = load_vehicle("crazyflie")
    sunk = [
        HEIGHT
        - fly((6.0, noisy(s)), parameters=weak, model=load_autopilot("twitchy")).position[-1, 2]
        for s in range(3)
    ]
    level = [HEIGHT - fly((6.0, noisy(s)), parameters=weak).position[-1, 2] for s in range(3)]
    assert min(sunk) > 0.4
    assert max(np.abs(level)) < 0.15


@pytest.mark.parametrize("dt", [0.001, 0.02])
def test_a_stiff_autopilot_is_stable_at_any_physics_step(dt: float) -> None:
    flight = fly((5.0, velocity(1.0, 0.0, 0.5, 0.0)), model=load_autopilot("twitchy"), dt=dt)
    assert flight.velocity[-1, 2] == pytest.approx(0.5, abs=0.08)
    assert flight.thrust[flight.time > 4.0].std() < 0.2


def test_draws_repeat_and_stay_within_their_region() -> None:
    draws = [draw_autopilot(np.random.default_rng(seed)) for seed in range(300)]
    assert draws == [draw_autopilot(np.random.default_rng(seed)) for seed in range(300)]
    assert len(set(map(astuple, draws))) == 300
    held_out = [
        load_autopilot(n) for n in ("late", "sluggish", "sinking", "eager", "stiff", "twitchy")
    ]
    assert max(m.setpoint_delay for m in draws) < held_out[0].setpoint_delay
    assert min(m.bandwidth for m in draws) > held_out[1].bandwidth
    assert min(m.vertical_bias for m in draws) > held_out[2].vertical_bias
    assert max(m.bandwidth for m in draws) < held_out[3].bandwidth
    assert max(m.vertical_stiffness for m in draws) < held_out[4].vertical_stiffness
    assert max(m.derivative for m in draws) < held_out[5].derivative
    assert {m.direct for m in draws} == {True, False}


def test_a_world_flies_with_the_autopilot_of_its_configuration() -> None:
    ends = []
    for model in (AutopilotModel(), AutopilotModel(vertical_bias=0.5)):
        world = World(WorldConfig(autopilot=model).without("camera"))
        world.reset(3)
        while world.next_event(1_000_000_000) is not None:
            pass
        ends.append(world.state.position[2])
        world.close()
    assert ends[1] - ends[0] > 0.25


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("setpoint_delay", 1.0),
        ("bandwidth", 0.0),
        ("damping", 0.0),
        ("vertical_bias", float("nan")),
        ("derivative", 1.0),
    ],
)
def test_a_field_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(SimulationError, match=rf"AutopilotModel\.{name}"):
        AutopilotModel(**{name: value})  # type: ignore[arg-type]


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(SimulationError, match="stiff"):
        load_autopilot("stif")
    with pytest.raises(SimulationError, match=r"WorldConfig\.autopilot"):
        WorldConfig(autopilot="stiff")  # type: ignore[arg-type]
