"""Parameters of the simulator node: names, defaults, bounds, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from liquid_nav.errors import ConfigError
from liquid_nav.ros.controller.parameters import EXECUTOR, Spec
from liquid_nav_sim.faults.effects import EFFECTS
from liquid_nav_sim.faults.kinds import Fault
from liquid_nav_sim.tasks.registry import TASKS

REAL_TIME, LOCK_STEP = "real_time", "lock_step"

SPECS = (
    Spec("task", "target", "What to fly.", choices=tuple(TASKS)),
    Spec("difficulty", 0.5, "How hard the task is.", (0.0, 1.0)),
    replace(EXECUTOR, default="single"),  # In lock-step it answers sooner than `events`.
    Spec("gui", False, "Show PyBullet's window."),
    Spec(
        "pace",
        REAL_TIME,
        "real_time, or lock_step: the world waits for the command after each measurement.",
        choices=(REAL_TIME, LOCK_STEP),
    ),
    Spec("speed", 1.0, "Seconds simulated in one second, in real_time.", (0.01, 100.0)),
    Spec(
        "lock_step_timeout",
        1.0,
        "s of the wall to wait for a command in lock_step before going on without.",
        (0.05, 3600.0),
    ),
    Spec("wait_for_controller", True, "Begin a flight only with somebody on cmd_vel."),
    Spec("stamped", True, "Take TwistStamped on cmd_vel; false: Twist, which lock_step cannot."),
    Spec("command_timeout", 0.5, "Simulated s without a command before hovering.", (0.02, 60.0)),
    Spec("odometry_rate", 50.0, "Hz of the true state on odometry; 0 for none.", (0.0, 250.0)),
    Spec("clock_rate", 250.0, "Hz of /clock between measurements, in real_time.", (1.0, 250.0)),
    Spec("auto_reset", False, "Begin the next seed when a flight has ended, or stand still."),
    Spec(
        "fault.kind",
        "",
        "What ~/inject_fault breaks.",
        choices=("", *EFFECTS),
    ),
    Spec("fault.duration", 0.0, "Simulated s that it lasts; 0: until ~/reset.", (0.0, 3600.0)),
    Spec("fault.magnitude", 0.0, "How much; its unit and range go by the kind.", (-100.0, 100.0)),
    Spec("fault.rotor", 0, "Of a fault of a motor: 0 front right, then PX4's order.", (0, 3)),
    Spec("seed", 0, "Scene and disturbances of the flight that ~/reset begins.", (0, 2**31 - 1)),
    Spec("episodes", 0, "Flights after which the node ends; 0 for no end.", (0, 2**31 - 1)),
)
"""Every parameter of the simulator node."""

AT_ANY_TIME = ("seed", "speed", "auto_reset", "command_timeout", "fault.")
"""What may change while the node runs, by the start of its name."""


@dataclass(frozen=True)
class Settings:
    """The parameters, checked together.

    Attributes:
        values: every parameter by name.

    """

    values: Mapping[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Check the parameters of `SPECS` together.

        Raises:
            ConfigError: on one out of its range, or a combination that makes no sense. What the
                fault's parameters say together is not checked, as they are set one by one.

        """
        for spec in SPECS:
            value = values[spec.name]
            if spec.choices and value not in spec.choices:
                words = ", ".join(choice or "''" for choice in spec.choices)
                raise ConfigError(f"{spec.name} must be one of {words}, got {value!r}")
            if spec.bounds and not spec.bounds[0] <= value <= spec.bounds[1]:
                raise ConfigError(f"{spec.name} must be in {list(spec.bounds)}, got {value!r}")
        if values["pace"] == LOCK_STEP and not values["stamped"]:
            raise ConfigError("lock_step needs stamped: true, to know what a command answers")
        return cls(dict(values))

    def fault(self, start: int) -> Fault:
        """Make the fault that the parameters `fault.` describe, from `start` ns on.

        Raises:
            SimulationError: if they describe none.

        """
        kind, duration, magnitude, rotor = (
            self.values[f"fault.{name}"] for name in ("kind", "duration", "magnitude", "rotor")
        )
        return Fault(kind, start, duration, magnitude, rotor)
