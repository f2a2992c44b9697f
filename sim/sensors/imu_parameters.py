"""Parameters of inertial measurement units: errors, mounting, vibration and filter."""

import math
from dataclasses import dataclass, fields

from liquid_nav_sim.errors import SimulationError

_CHOICES = {"blades": (2, 3, 4, 5, 6), "filter_order": (1, 2)}


@dataclass(frozen=True)
class ImuParameters:
    """Errors of an IMU, the same on each axis, and its place on the body.

    Noise is specified as in Kalibr. A "drawn" error is constant during a flight: each flight draws
    it from a normal distribution whose standard deviation is the field.

    Attributes:
        gyro_noise: white noise density of the gyroscope, rad/s/sqrt(Hz).
        gyro_walk: random walk of its bias, rad/s^2/sqrt(Hz).
        gyro_turn_on_bias: drawn bias at power-up, rad/s.
        accel_noise: white noise density of the accelerometer, m/s^2/sqrt(Hz).
        accel_walk: random walk of its bias, m/s^3/sqrt(Hz).
        accel_turn_on_bias: drawn bias at power-up, m/s^2.
        gyro_scale, accel_scale: drawn error of the scale factor of each axis, 0.01 for 1 %.
        gyro_misalignment, accel_misalignment: drawn sensitivity of each axis to each other axis,
            radians: for small angles, the tilt of its sensitive direction.
        g_sensitivity: drawn reading of each axis of the gyroscope per specific force along each
            axis, rad/s per m/s^2.
        gyro_range, accel_range: full scale, rad/s and m/s^2; beyond it the reading saturates.
        gyro_resolution, accel_resolution: step of the readings, rad/s and m/s^2; 0 for no steps.
        mount_position: position of the accelerometers, metres, body FLU: away from the centre of
            mass they also measure the effect of rotation.
        mount_rotation: roll, pitch and yaw of the sensor's axes on the body's, radians, applied in
            the order yaw, pitch, roll. Readings are along the sensor's axes; a controller that does
            not know the rotation takes them for readings along the body's axes.
        gyro_vibration, accel_vibration: standard deviation of the vibration of each axis in hover,
            rad/s and m/s^2; see `liquid_nav_sim.sensors.vibration.Vibration`.
        blade_pass: share of the vibration's power that comes from the passing of blades, in [0, 1];
            the rest comes from imbalance.
        blades: number of blades of a rotor.
        rotor_imbalance: imbalance of each rotor relative to the others, in the order of the rotors.
        rotor_spread: largest relative difference between the speed of a rotor and the speed that
            the simulator gives it for its thrust, from differences between blades; drawn.
        filter_cutoff: cutoff frequency of the driver's low-pass filter, Hz; 0 for no filter. The
            noise before the filter is white up to half the rate of the physics.
        filter_order: order of that Butterworth filter, 1 or 2.

    Raises:
        SimulationError: on a value out of range.
    """

    gyro_noise: float = 0.0
    gyro_walk: float = 0.0
    gyro_turn_on_bias: float = 0.0
    accel_noise: float = 0.0
    accel_walk: float = 0.0
    accel_turn_on_bias: float = 0.0
    gyro_scale: float = 0.0
    accel_scale: float = 0.0
    gyro_misalignment: float = 0.0
    accel_misalignment: float = 0.0
    g_sensitivity: float = 0.0
    gyro_range: float = math.inf
    accel_range: float = math.inf
    gyro_resolution: float = 0.0
    accel_resolution: float = 0.0
    mount_position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mount_rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gyro_vibration: float = 0.0
    accel_vibration: float = 0.0
    blade_pass: float = 0.3
    blades: int = 2
    rotor_imbalance: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    rotor_spread: float = 0.0
    filter_cutoff: float = 0.0
    filter_order: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.startswith("mount"):
                if len(value) != 3 or not all(map(math.isfinite, value)):
                    raise SimulationError(
                        f"ImuModel.{name} must be three finite numbers, got {value!r}"
                    )
            elif name.endswith("range"):
                if not value > 0:
                    raise SimulationError(f"ImuModel.{name} must be positive, got {value!r}")
            elif name == "rotor_imbalance":
                four = isinstance(value, (tuple, list)) and len(value) == 4
                if not (four and min(value) >= 0 and 0 < sum(value) < math.inf):
                    raise SimulationError(
                        "ImuModel.rotor_imbalance must be four finite numbers that are at least 0, "
                        f"not all 0, got {value!r}"
                    )
            elif name in _CHOICES:
                if value not in _CHOICES[name] or not isinstance(value, int):
                    raise SimulationError(
                        f"ImuModel.{name} must be one of {', '.join(map(str, _CHOICES[name]))}, "
                        f"got {value!r}"
                    )
            elif name in ("blade_pass", "rotor_spread"):
                if not 0 <= value <= 1:
                    raise SimulationError(f"ImuModel.{name} must be in [0, 1], got {value!r}")
            elif not 0 <= value < math.inf:
                raise SimulationError(
                    f"ImuModel.{name} must be finite and not negative, got {value!r}"
                )
