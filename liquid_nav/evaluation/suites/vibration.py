"""Suite of the IMU: vibration, noise, and the errors of real parts."""

from dataclasses import replace

from liquid_nav.evaluation.suites.cell import Cell
from liquid_nav.events import Channel
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.sensors.imu_models import ADIS16448, BMI088, MPU6050, ImuModel

MODELS = {"BMI088": BMI088, "MPU-6050": MPU6050, "ADIS16448": ADIS16448}


def vibration(base: WorldConfig) -> list[Cell]:
    """White noise of growing size on the accelerometer and the gyroscope, and IMUs by name."""
    return [
        *(
            Cell(
                f"noise of {force:g} m/s^2 and {rate:g} rad/s",
                replace(
                    base,
                    faults=(
                        Fault("imu_accel_noise", 0, magnitude=force),
                        Fault("imu_noise", 0, magnitude=rate),
                    ),
                ),
            )
            for force, rate in ((1.0, 0.05), (3.0, 0.15), (6.0, 0.3))
        ),
        *(Cell(name, with_imu(base, model)) for name, model in MODELS.items()),
    ]


def with_imu(base: WorldConfig, model: ImuModel) -> WorldConfig:
    """Replace the model of every IMU, and keep its timing."""
    config = base
    for sensor in base.sensors:
        if sensor.model.channel is Channel.IMU:
            config = config.with_sensor(sensor.name, model)
    return config
