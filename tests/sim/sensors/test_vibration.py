"""Vibration of rotors in the samples of an IMU, and the filters of drivers, against mathematics."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Channel, ImuSample
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.sensors.clock import SensorClock
from liquid_nav_sim.sensors.imu import FilteredImu, Imu
from liquid_nav_sim.sensors.imu_conditions import VIBRATIONS, draw_imu
from liquid_nav_sim.sensors.imu_models import NOISELESS, PX4_DEFAULT, ImuModel
from liquid_nav_sim.sensors.sources import Sampler
from liquid_nav_sim.sensors.timing import SensorTiming
from liquid_nav_sim.sensors.vibration import (
    DAMAGE_GYRO_VIBRATION,
    DAMAGE_VIBRATION,
    LowPass,
    Vibration,
    response,
)
from liquid_nav_sim.vehicle.state import GRAVITY, Kinematics, Motion, RotorTurn
from liquid_nav_sim.world import World

HOVER = 1000.0
STEP = SECOND // 250
STILL = Kinematics(
    (0.0, 0.0, 5.0), (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, GRAVITY)
)
ONE_ROTOR = (1.0, 0.0, 0.0, 0.0)


def samples(
    model: ImuModel,
    rate: float,
    seconds: float,
    speed: float = HOVER,
    damage: float = 0.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Readings of a vehicle that hovers with rotors of one speed, rad/s, shape (N, 6)."""
    clock = SensorClock(SensorTiming(rate=rate), np.random.default_rng(seed))
    vibration = Vibration(model, HOVER, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    source: Any = Sampler(clock, Imu(model, rng, vibration))
    if model.filter_cutoff:
        source = FilteredImu(model, clock, rng, np.random.default_rng(seed + 1), vibration)
    angle, seen = 0.0, []
    for step in range(round(seconds * 250)):
        turned = angle + speed * STEP / SECOND
        rotors = RotorTurn((angle,) * 4, (turned,) * 4, (damage, 0.0, 0.0, 0.0))
        seen += source.advance(Motion(STILL, STILL, step * STEP, (step + 1) * STEP, rotors))
        angle = turned
    return np.array([[*s.angular_velocity, *s.specific_force] for s in seen])


def tones(readings: NDArray[np.float64], rate: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Frequencies, Hz, and amplitudes of the upward axis of the accelerometer, without its mean."""
    signal = readings[:, 5] - readings[:, 5].mean()
    window = np.hanning(len(signal))
    amplitude = 2 * np.abs(np.fft.rfft(signal * window)) / window.sum()
    return np.fft.rfftfreq(len(signal), 1 / rate), amplitude


@pytest.mark.parametrize("rate", [1000.0, 200.0, 140.0])
@pytest.mark.parametrize("speed", [800.0, 1000.0, 1300.0])
def test_the_tone_of_a_rotor_is_at_its_aliased_frequency(rate: float, speed: float) -> None:
    model = replace(
        NOISELESS, accel_vibration=2.0, gyro_vibration=0.1, blade_pass=0.0,
        rotor_imbalance=ONE_ROTOR,
    )  # fmt: skip
    frequency, amplitude = tones(samples(model, rate, 4.0, speed), rate)
    rotation = speed / (2 * math.pi)
    aliased = abs(rotation - rate * round(rotation / rate))
    assert frequency[np.argmax(amplitude)] == pytest.approx(aliased, abs=0.3)
    # Its amplitude grows with the square of the speed, and nothing else is in the spectrum.
    expected = 2.0 * math.sqrt(2) * (speed / HOVER) ** 2
    assert amplitude.max() == pytest.approx(expected, rel=0.15)
    assert amplitude[np.abs(frequency - aliased) > 2.0].max() < 0.02 * expected


@pytest.mark.parametrize("blades", [2, 3])
def test_blades_pass_at_a_multiple_of_the_rotation(blades: int) -> None:
    model = replace(NOISELESS, accel_vibration=2.0, blade_pass=1.0, blades=blades)
    frequency, amplitude = tones(samples(model, 1000.0, 4.0, 700.0), 1000.0)
    assert frequency[np.argmax(amplitude)] == pytest.approx(blades * 700 / 2 / math.pi, abs=0.3)


@pytest.mark.parametrize("blade_pass", [0.0, 0.4])
@pytest.mark.parametrize("rate", [90.0, 400.0])
def test_the_standard_deviation_of_each_axis_is_as_configured(
    blade_pass: float, rate: float
) -> None:
    """Over many flights: rotors of different speeds add up by their powers."""
    model = replace(
        NOISELESS, accel_vibration=3.0, gyro_vibration=0.05, rotor_spread=0.03,
        blade_pass=blade_pass, rotor_imbalance=(2.0, 1.0, 0.5, 1.0),
    )  # fmt: skip
    power = np.mean(
        [samples(model, rate, 6.0, seed=seed).var(axis=0) for seed in range(12)], axis=0
    )
    # The speed of each rotor differs from that of hover, and with it the power by its 4th power.
    np.testing.assert_allclose(np.sqrt(power), [0.05] * 3 + [3.0] * 3, rtol=0.08)


def test_imbalance_sets_the_share_of_each_rotor() -> None:
    model = replace(
        NOISELESS, accel_vibration=3.0, rotor_spread=0.2, blade_pass=0.0,
        rotor_imbalance=(8.0, 1.0, 1.0, 1.0),
    )  # fmt: skip
    _, amplitude = tones(samples(model, 1000.0, 8.0), 1000.0)
    peaks = np.sort(amplitude[1:-1][
        (amplitude[1:-1] > amplitude[:-2]) & (amplitude[1:-1] > amplitude[2:])
    ])[::-1]  # fmt: skip
    assert peaks[0] > 3 * peaks[1]


def test_damage_shakes_an_otherwise_smooth_vehicle() -> None:
    smooth, damaged = samples(NOISELESS, 1000.0, 4.0), samples(NOISELESS, 1000.0, 4.0, damage=0.5)
    assert smooth.std() == pytest.approx(samples(NOISELESS, 1000.0, 1.0)[:1].std())
    deviation = damaged.std(axis=0)
    assert 0.2 < deviation[3:].mean() / (0.5 * DAMAGE_VIBRATION) < 3
    assert 0.2 < deviation[:3].mean() / (0.5 * DAMAGE_GYRO_VIBRATION) < 3
    frequency, amplitude = tones(damaged, 1000.0)
    assert frequency[np.argmax(amplitude)] == pytest.approx(HOVER / 2 / math.pi, abs=0.3)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("cutoff", [20.0, 80.0, 256.0])
def test_a_filter_damps_and_delays_a_tone_by_its_transfer_function(
    cutoff: float, order: int
) -> None:
    model = replace(
        NOISELESS, accel_vibration=2.0, gyro_vibration=0.1, blade_pass=0.0,
        rotor_imbalance=ONE_ROTOR,
    )  # fmt: skip
    filtered = replace(model, filter_cutoff=cutoff, filter_order=order)
    raw, low = samples(model, 997.0, 3.0), samples(filtered, 997.0, 3.0)
    ratio = HOVER / (2 * math.pi) / cutoff
    theory = 1 / (1 + 1j * ratio) if order == 1 else 1 / (1 - ratio**2 + 1j * math.sqrt(2) * ratio)
    wave = np.exp(-2j * math.pi * HOVER / (2 * math.pi) * np.arange(len(raw)) / 997.0)
    for axis in range(6):
        gain = ((low[:, axis] - low[:, axis].mean()) @ wave) / (
            (raw[:, axis] - raw[:, axis].mean()) @ wave
        )
        assert gain == pytest.approx(theory, rel=0.02)
    assert complex(*response(ratio, order)) == pytest.approx(theory)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [1, 7, 400])
def test_the_step_response_is_exact_for_any_step(order: int, steps: int) -> None:
    low_pass, seconds, corner = LowPass(10.0, order), 0.02, 2 * math.pi * 10.0
    low_pass.advance(0.0, 0.0)
    for _ in range(steps):
        low_pass.advance(1.0, seconds / steps)
    if order == 1:
        expected = 1 - math.exp(-corner * seconds)
    else:
        phase = corner / math.sqrt(2) * seconds
        expected = 1 - math.exp(-phase) * (math.cos(phase) + math.sin(phase))
    assert low_pass.value == pytest.approx(expected, rel=1e-9)


def test_a_filter_delays_a_motion_and_lowers_the_noise() -> None:
    """A ramp of specific force arrives one group delay late: sqrt(2) / (2 pi cutoff)."""
    model = replace(NOISELESS, filter_cutoff=10.0)
    clock = SensorClock(SensorTiming(rate=200.0), np.random.default_rng(0))
    source = FilteredImu(model, clock, np.random.default_rng(0), np.random.default_rng(1))
    seen: list[ImuSample] = []
    for step in range(250):
        middle = (step + 0.5) * STEP / SECOND
        state = STILL._replace(specific_force=(3.0 * middle, 0.0, GRAVITY))
        seen += source.advance(Motion(state, state, step * STEP, (step + 1) * STEP))
    last = seen[-1]
    delay = last.stamp / SECOND - last.specific_force[0] / 3.0
    assert delay == pytest.approx(math.sqrt(2) / (2 * math.pi * 10.0), abs=0.002)
    noisy = ImuModel(gyro_noise=1e-3, accel_noise=1e-2, filter_cutoff=10.0, filter_order=1)
    deviation = samples(noisy, 100.0, 100.0).std(axis=0)
    # The noise bandwidth of a filter of first order is pi / 2 times its cutoff, on both sides.
    theory = np.repeat((1e-3, 1e-2), 3) * math.sqrt(math.pi * 10.0)
    np.testing.assert_allclose(deviation, theory, rtol=0.15)


def flown(config: WorldConfig, seconds: float = 3.0) -> NDArray[np.float64]:
    """Readings of the IMU of a world in hover."""
    world, seen = World(config.without("camera")), []
    world.reset(5)
    while (event := world.next_event(round(seconds * SECOND))) is not None:
        if event.channel is Channel.IMU:
            seen.append([event.stamp, *event.angular_velocity, *event.specific_force])  # type: ignore[attr-defined]
    world.close()
    return np.array(seen)


def test_vibration_and_filter_change_nothing_else_in_a_flight() -> None:
    smooth = flown(WorldConfig())
    shaken = flown(
        WorldConfig().with_sensor("imu", model=replace(PX4_DEFAULT, accel_vibration=2.0))
    )
    filtered = flown(
        WorldConfig().with_sensor("imu", model=replace(PX4_DEFAULT, filter_cutoff=60.0))
    )
    np.testing.assert_array_equal(shaken[:, 0], smooth[:, 0])
    np.testing.assert_array_equal(shaken[:, 1:4], smooth[:, 1:4])
    np.testing.assert_array_equal(filtered[:, 0], smooth[:, 0])
    assert (shaken - smooth)[:, 4:].std() == pytest.approx(2.0, rel=0.5)
    np.testing.assert_allclose(filtered[:, 4:].mean(axis=0), smooth[:, 4:].mean(axis=0), atol=0.05)


def test_a_damaged_rotor_shakes_the_imu_from_its_start_on_and_is_held_by_the_autopilot() -> None:
    fault = Fault("rotor_damage", start=SECOND, magnitude=0.5, rotor=2)
    smooth, damaged = flown(WorldConfig()), flown(WorldConfig(faults=(fault,)))
    before = smooth[:, 0] < SECOND
    np.testing.assert_array_equal(damaged[before], smooth[before])
    assert damaged[~before, 4:].std(axis=0).min() > 1.0
    assert smooth[~before, 4:].std(axis=0).max() < 0.3


def test_draws_repeat_cover_their_ranges_and_exclude_the_held_out_ones() -> None:
    drawn = [draw_imu(np.random.default_rng(seed)) for seed in range(400)]
    assert drawn == [draw_imu(np.random.default_rng(seed)) for seed in range(400)]
    rates = [timing.rate for _, timing in drawn]
    assert 50 <= min(rates) < 60
    assert 850 < max(rates) <= 1000
    shaken = [model.accel_vibration for model, _ in drawn]
    assert 0.1 < np.mean(np.array(shaken) == 0) < 0.3
    assert 5.5 < max(shaken) <= 6.0
    cutoffs = [model.filter_cutoff for model, _ in drawn if model.filter_cutoff]
    assert min(cutoffs) < 8
    assert max(cutoffs) > 200
    assert {model.filter_order for model, _ in drawn} == {1, 2}
    assert {model.accel_noise for model, _ in drawn} == {
        4.0e-3,
        2.0e-3,
        190e-6 * GRAVITY,
        400e-6 * GRAVITY,
    }
    for name in ("raw_1000", "rattling"):
        assert VIBRATIONS[name].model.accel_vibration > max(shaken)
    unevenness = [max(m.rotor_imbalance) / sum(m.rotor_imbalance) for m, _ in drawn]
    uneven = VIBRATIONS["unbalanced"].model.rotor_imbalance
    assert max(uneven) / sum(uneven) > max(unevenness)
    assert len(set(VIBRATIONS.values())) == len(VIBRATIONS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accel_vibration", -1.0),
        ("blade_pass", 1.5),
        ("blades", 1),
        ("rotor_imbalance", (0.0, 0.0, 0.0, 0.0)),
        ("rotor_spread", math.nan),
        ("filter_cutoff", math.inf),
        ("filter_order", 3),
    ],
)
def test_a_field_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(SimulationError, match=rf"ImuModel\.{name}"):
        ImuModel(**{name: value})
