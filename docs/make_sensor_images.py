"""Draw the pictures of sensors and wind in the docs: `python docs/make_sensor_images.py`."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from liquid_nav_sim.air.dryden import intensities
from liquid_nav_sim.air.wind import DiscreteGust, Wind, WindModel
from liquid_nav_sim.sensors.imu import Imu
from liquid_nav_sim.sensors.imu_models import ADIS16448, MPU6050, PX4_DEFAULT, ImuModel
from liquid_nav_sim.vehicle.state import GRAVITY

IMAGES = Path(__file__).parent / "images"
PERIOD, HOUR = 0.01, 3600.0
SPECIMENS: dict[str, ImuModel] = {
    "PX4 default": PX4_DEFAULT,
    "ADIS16448": ADIS16448,
    "MPU-6050": MPU6050,
}
COLOURS = ("#1f4e8c", "#c8553d", "#3d8b6f")


def at_rest(model: ImuModel) -> NDArray[np.float64]:
    """Simulate an hour of readings at rest, shape (samples, 6)."""
    imu = Imu(model, np.random.default_rng(1))
    truth = (0.0, 0.0, 0.0, 0.0, 0.0, GRAVITY)
    return np.array([imu.read(truth, PERIOD) for _ in range(round(HOUR / PERIOD))])


def allan_deviation(
    readings: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give averaging times, s, shape (A,), and the overlapping Allan deviation at each, (A, 6)."""
    total = np.concatenate([np.zeros((1, 6)), np.cumsum(readings, axis=0)]) * PERIOD
    counts = np.unique(np.geomspace(1, len(readings) // 9, 50).astype(int))
    deviations = []
    for m in counts.tolist():
        second = total[2 * m :] - 2 * total[m:-m] + total[: -2 * m]
        deviations.append(np.sqrt(np.mean(second**2, axis=0) / 2) / (m * PERIOD))
    return counts * PERIOD, np.array(deviations)


def draw_allan() -> None:
    """Draw the Allan deviation of three IMUs at rest, measured and as their models predict it."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (name, model), colour in zip(SPECIMENS.items(), COLOURS, strict=True):
        tau, deviation = allan_deviation(at_rest(model))
        for axis, columns, white, walk in (
            (axes[0], slice(0, 3), model.gyro_noise, model.gyro_walk),
            (axes[1], slice(3, 6), model.accel_noise, model.accel_walk),
        ):
            axis.loglog(tau, deviation[:, columns], color=colour, lw=0.9, alpha=0.7)
            theory = np.sqrt(white**2 / tau + walk**2 * tau / 3)
            axis.loglog(tau, theory, "--", color=colour, lw=1.6, label=name)
    axes[0].set_ylabel("Allan deviation of the gyroscope, rad/s")
    axes[1].set_ylabel("of the accelerometer, m/s²")
    for axis in axes:
        axis.set_xlabel("average over τ, s")
        axis.grid(which="both", alpha=0.15)
    axes[0].legend(title="dashed: configured", frameon=False)
    figure.savefig(IMAGES / "allan.png", dpi=110)
    plt.close(figure)


def blow(model: WindModel, seconds: float, dt: float) -> NDArray[np.float64]:
    """Simulate wind at 10 m: along and across the mean wind and up, m/s, shape (steps, 3)."""
    wind = Wind(model, np.random.default_rng(13))
    east, north = wind.ahead
    air = np.array([wind.advance(dt, altitude=10.0) for _ in range(round(seconds / dt))])
    turn = np.array([[east, north, 0.0], [-north, east, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(air @ turn.T)


def draw_wind() -> None:
    """Draw three kinds of wind over time."""
    dt, seconds = 0.02, 60.0
    turbulent = WindModel(steady=10.0, gust=0.0, turbulence=15.4)
    ramp = DiscreteGust(start=15.0, velocity=(0.0, 0.0, 3.0), length=80.0)
    back = DiscreteGust(start=35.0, velocity=(0.0, 0.0, -3.0), length=80.0)
    kinds = {
        "default: steady wind and gusts": WindModel(),
        "Dryden, moderate (30 kn at 6 m)": turbulent,
        "1 - cosine gust upwards, and back": WindModel(steady=10, gust=0, discrete=(ramp, back)),
    }
    figure, axes = plt.subplots(3, 1, figsize=(10, 6.5), sharex=True, layout="constrained")
    time = np.arange(round(seconds / dt)) * dt
    for axis, (name, model) in zip(axes, kinds.items(), strict=True):
        air = blow(model, seconds, dt)
        for column, colour, label in zip(
            air.T, COLOURS, ("along the mean wind", "across", "up"), strict=True
        ):
            axis.plot(time, column, color=colour, lw=1, label=label)
        if model.turbulence:
            mean = air[:, 0].mean()
            sigma, _ = intensities(10.0, model.turbulence)
            axis.axhspan(mean - sigma, mean + sigma, color=COLOURS[0], alpha=0.08, lw=0)
        axis.set_title(name, loc="left", fontsize=10)
        axis.set_ylabel("m/s")
        axis.grid(alpha=0.15)
    axes[0].legend(frameon=False, ncols=3, loc="upper right")
    axes[0].set_ylim(-1.5, 2.5)
    axes[-1].set_xlabel("s")
    figure.savefig(IMAGES / "wind.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    draw_allan()
    draw_wind()
