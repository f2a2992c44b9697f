"""Suite of the IMU: vibration of the rotors, aliased and filtered, a broken blade, and noise."""

from dataclasses import replace

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.events import Channel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.sensors.imu_conditions import VIBRATIONS, ImuConditions

NOISES = ((1.0, 0.05), (3.0, 0.15), (6.0, 0.3))
"""White noise on each axis of accelerometer, m/s^2, and gyroscope, rad/s."""

DAMAGE = 0.5
"""Damage of one rotor from the start of the flight on."""


def vibration(base: WorldConfig) -> list[Cell]:
    """IMUs that vibrate in every way the simulator knows by name, and white noise of any source."""
    usual = shaken(base, VIBRATIONS["usual"])
    damage = Fault("rotor_damage", 0, magnitude=DAMAGE)
    return [
        *(Cell(name, shaken(base, conditions)) for name, conditions in VIBRATIONS.items()),
        Cell("usual, with a damaged rotor", replace(usual, faults=(*usual.faults, damage))),
        *(
            Cell(f"white noise of {force:g} m/s^2 and {rate:g} rad/s", _noisy(base, force, rate))
            for force, rate in NOISES
        ),
    ]


def shaken(base: WorldConfig, conditions: ImuConditions) -> WorldConfig:
    """Put an IMU of these conditions in the place of every IMU."""
    config = base
    for sensor in base.sensors:
        if sensor.model.channel is Channel.IMU:
            config = config.with_sensor(sensor.name, conditions.model, conditions.timing)
    return config


def _noisy(base: WorldConfig, force: float, rate: float) -> WorldConfig:
    noise = (
        Fault("imu_accel_noise", 0, magnitude=force),
        Fault("imu_noise", 0, magnitude=rate),
    )
    return replace(base, faults=(*base.faults, *noise))
