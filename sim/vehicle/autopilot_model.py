"""Models of autopilots: how a vehicle follows velocity setpoints, and how it fails to."""

import math
from dataclasses import dataclass

import numpy as np

from liquid_nav.errors import ConfigError
from liquid_nav.registry import Registry
from liquid_nav_sim.errors import SimulationError

_RANGES = {
    "setpoint_delay": (0.0, 0.5),
    "bandwidth": (0.2, 3.0),
    "level_stiffness": (0.2, 2.0),
    "vertical_stiffness": (0.2, 15.0),
    "forward_gain": (0.5, 1.5),
    "left_gain": (0.5, 1.5),
    "up_gain": (0.5, 1.5),
    "yaw_gain": (0.5, 1.5),
    "vertical_bias": (-1.0, 1.0),
    "derivative": (0.0, 5.0),
}


@dataclass(frozen=True)
class AutopilotModel:
    """How the velocity loops of an autopilot treat their setpoints.

    The defaults are the simulator's own autopilot, which is tuned to its vehicle. Attitude and
    body-rate setpoints are only affected by `setpoint_delay`.

    Attributes:
        setpoint_delay: seconds from the arrival of a setpoint until the loops use it.
        bandwidth: factor on the speed at which the reference velocity approaches the setpoint.
        damping: damping ratio of that approach, in [0.2, 2]; below 1 the velocity overshoots. None
            for a first-order approach, which never overshoots. The lag behind a setpoint that
            grows steadily depends on the bandwidth alone.
        level_stiffness, vertical_stiffness: factors on the gains that correct the velocity errors.
        forward_gain, left_gain, up_gain, yaw_gain: factors on the components of the setpoint: 0.9
            for a vehicle that flies at 90 % of the velocity that was asked for.
        vertical_bias: error of the vertical velocity, m/s; the vehicle climbs at this speed when it
            is asked to hover.
        direct: whether the loops take the setpoint without a reference that approaches it. The
            vertical loop is then a PID controller of the velocity error with no limit but that of
            the rotors, so noise of the setpoint becomes thrust.
        derivative: gain of the vertical loop on the derivative of the velocity error, the setpoint
            included, m/s^2 per m/s^2; for direct loops.

    Raises:
        SimulationError: on a field out of its range.
    """

    setpoint_delay: float = 0.0
    bandwidth: float = 1.0
    damping: float | None = None
    level_stiffness: float = 1.0
    vertical_stiffness: float = 1.0
    forward_gain: float = 1.0
    left_gain: float = 1.0
    up_gain: float = 1.0
    yaw_gain: float = 1.0
    vertical_bias: float = 0.0
    direct: bool = False
    derivative: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"AutopilotModel.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )
        if self.damping is not None and not 0.2 <= self.damping <= 2:
            raise SimulationError(
                f"AutopilotModel.damping must be None or in [0.2, 2], got {self.damping!r}"
            )
        if self.derivative and not self.direct:
            raise SimulationError(
                "AutopilotModel.derivative acts in direct loops only: set direct=True, or leave "
                f"derivative at 0, got {self.derivative!r}"
            )

    @property
    def gains(self) -> tuple[float, float, float, float]:
        """Factors on vx, vy, vz and the yaw rate of a setpoint."""
        return (self.forward_gain, self.left_gain, self.up_gain, self.yaw_gain)


NOMINAL = AutopilotModel()
"""The simulator's own autopilot."""

AUTOPILOTS: Registry[AutopilotModel] = Registry(
    "liquid_nav.autopilots",
    "autopilot",
    {
        "nominal": NOMINAL,
        "soft": AutopilotModel(
            setpoint_delay=0.04, bandwidth=0.6, level_stiffness=0.7, vertical_stiffness=0.7
        ),
        "lagging": AutopilotModel(setpoint_delay=0.1, bandwidth=0.6),
        "overshooting": AutopilotModel(setpoint_delay=0.02, damping=0.6),
        "uncalibrated": AutopilotModel(
            forward_gain=0.9, left_gain=1.08, up_gain=0.9, yaw_gain=1.1, vertical_bias=-0.05
        ),
        "direct": AutopilotModel(direct=True, vertical_stiffness=4.0, derivative=1.0),
        # The kinds from here on lie outside of what `draw_autopilot` draws.
        "late": AutopilotModel(setpoint_delay=0.15, bandwidth=0.8),
        "sluggish": AutopilotModel(bandwidth=0.45, damping=0.9, level_stiffness=0.5),
        "sinking": AutopilotModel(up_gain=0.8, vertical_bias=-0.15, forward_gain=0.85),
        "eager": AutopilotModel(bandwidth=2.0, damping=0.45, level_stiffness=1.2, yaw_gain=1.25),
        # Like the vertical loops of PyFlyt's mode 6 and of gym-pybullet-drones' DSLPIDControl.
        "stiff": AutopilotModel(direct=True, vertical_stiffness=10.0, derivative=2.5),
        "twitchy": AutopilotModel(direct=True, vertical_stiffness=2.5, derivative=4.0),
    },
)
"""Autopilots by name; entry points of the group ``liquid_nav.autopilots`` add to them."""


def load_autopilot(name: str) -> AutopilotModel:
    """Return the autopilot of a name in `AUTOPILOTS`.

    Raises:
        SimulationError: on an unknown name.
    """
    try:
        return AUTOPILOTS.get(name)
    except ConfigError as error:
        raise SimulationError(str(error)) from error


def draw_autopilot(rng: np.random.Generator) -> AutopilotModel:
    """Draw an autopilot for a training flight.

    One in four is nominal but for its delay, two smooth their setpoints in a way of their own, and
    one takes them directly. Each call takes the same number of numbers from `rng`.

    Args:
        rng: random stream.
    """
    kind, delay, width, damping, smooth, level, vertical, derivative = rng.random(8).tolist()
    gains = rng.uniform(0.88, 1.12, 4).tolist()
    bias = float(rng.uniform(-0.08, 0.08))
    late = 0.1 * delay
    if kind < 0.25:
        return AutopilotModel(setpoint_delay=late)
    direct = kind > 0.75
    forward, left, up, yaw = gains
    return AutopilotModel(
        setpoint_delay=late,
        bandwidth=_between(0.6, 1.6, width),
        damping=None if smooth < 0.3 else 0.5 + 0.7 * damping,
        level_stiffness=0.6 + 0.5 * level,
        vertical_stiffness=_between(1.0, 6.0, vertical) if direct else 0.6 + 0.7 * vertical,
        forward_gain=forward,
        left_gain=left,
        up_gain=up,
        yaw_gain=yaw,
        vertical_bias=bias,
        direct=direct,
        derivative=1.5 * derivative if direct else 0.0,
    )


def _between(low: float, high: float, share: float) -> float:
    """Value at `share` in [0, 1] of the logarithmic way from `low` to `high`."""
    return low * math.pow(high / low, share)
