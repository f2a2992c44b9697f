"""Conditions of an IMU: its model, its rate, its vibration and the filter of its driver."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from liquid_nav_sim.sensors.imu_models import ADIS16448, BMI088, MPU6050, PX4_DEFAULT, ImuModel
from liquid_nav_sim.sensors.timing import SensorTiming


class ImuConditions(NamedTuple):
    """An IMU on a vehicle.

    Attributes:
        model: errors, vibration and filter.
        timing: clock and link.
    """

    model: ImuModel
    timing: SensorTiming


def conditions(
    model: ImuModel, rate: float, accel_vibration: float = 0.0, **fields: object
) -> ImuConditions:
    """Make conditions with a vibration of the gyroscope that fits that of the accelerometer.

    Args:
        model: errors of the IMU.
        rate: samples per second.
        accel_vibration: standard deviation of the accelerometer's vibration in hover, m/s^2.
        fields: other fields of the model.
    """
    shaken: dict[str, object] = {
        "accel_vibration": accel_vibration,
        "gyro_vibration": 0.015 * accel_vibration,
        "rotor_spread": 0.02,
        **fields,
    }
    timing = replace(ImuModel.timing, rate=rate, jitter=min(0.0003, 0.05 / rate))
    return ImuConditions(replace(model, **shaken), timing)  # type: ignore[arg-type]


SPECIMENS = (PX4_DEFAULT, ADIS16448, BMI088, MPU6050)
"""Models of real IMUs that `draw_imu` draws from."""

VIBRATIONS = {
    "calm": conditions(PX4_DEFAULT, 200),
    "usual": conditions(BMI088, 200, 2.0, filter_cutoff=80.0),
    "aliased": conditions(PX4_DEFAULT, 100, 4.0),
    "slow": conditions(MPU6050, 50, 3.0, filter_cutoff=20.0, filter_order=1),
    # The conditions from here on lie outside of what `draw_imu` draws.
    "unbalanced": conditions(BMI088, 200, 6.0, rotor_imbalance=(8.0, 1.0, 1.0, 1.0)),
    "raw_1000": conditions(PX4_DEFAULT, 1000, 8.0),
    "rattling": conditions(MPU6050, 125, 9.0, blade_pass=0.7, blades=3),
}
"""Conditions by name."""


def draw_imu(rng: np.random.Generator) -> ImuConditions:
    """Draw the conditions of a training flight; each call takes the same number of numbers.

    The rate is 50 to 1000 Hz. One vehicle in five does not vibrate; the others do by up to 6 m/s^2.
    One driver in three does not filter; the others do with a cutoff of 5 to 256 Hz.

    Args:
        rng: random stream.
    """
    specimen = SPECIMENS[int(rng.integers(len(SPECIMENS)))]
    rate, shake, cutoff, gyro, blades, order, filtered, still = rng.random(8).tolist()
    imbalance = rng.uniform(0.5, 2.0, 4).tolist()
    accel = 0.0 if still < 0.2 else 6.0 * shake
    return conditions(
        specimen,
        50 * math.pow(20, rate),
        accel,
        gyro_vibration=accel * (0.005 + 0.02 * gyro),
        blade_pass=0.5 * blades,
        rotor_imbalance=tuple(imbalance),
        filter_cutoff=0.0 if filtered < 1 / 3 else 5 * math.pow(256 / 5, cutoff),
        filter_order=1 if order < 0.5 else 2,
    )
