"""``liquid-nav mission``: a real vehicle from take-off to landing."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from liquid_nav.cli.choices import one_of, task_names
from liquid_nav.cli.real_vehicle import PREFIX, aboard
from liquid_nav.errors import ConfigError
from liquid_nav.files import made_directories

TASK = "target"


@dataclass(frozen=True)
class Mission:
    """Check a vehicle, take off, let a policy fly, and land. Ctrl-C lands at once.

    Example: liquid-nav mission mavlink:udp:14540 --camera 0 --height 1.5 --duration 30
    """

    vehicle: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="mavlink:ADDRESS")]
    """Address of the autopilot: mavlink:udp:[HOST:]PORT, mavlink:udpout:HOST:PORT or
    mavlink:serial:DEVICE[:BAUD]."""
    task: Annotated[str, one_of(task_names, default=lambda: TASK)] = TASK
    """The task whose shipped model flies, unless --model gives another one."""
    model: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Directory of the model bundle."""
    speed: Annotated[
        float | None,
        tyro.conf.arg(metavar="X", help_behavior_hint="(default: that of the model)"),
    ] = None
    """Command limits, as a multiple of the usual ones."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="SOURCE")] = None
    """The camera: number of a device, or what OpenCV opens: a stream, a file."""
    camera_fov: Annotated[
        float | None,
        tyro.conf.arg(metavar="DEG", help_behavior_hint="(default: that of the policy's camera)"),
    ] = None
    """Horizontal field of view of that camera, degrees."""
    system: Annotated[int, tyro.conf.arg(metavar="ID")] = 0
    """System id of the autopilot; 0 takes the first one that is heard."""
    height: Annotated[float, tyro.conf.arg(metavar="M")] = 1.5
    """Height above the ground at which the policy takes over, metres."""
    duration: Annotated[float, tyro.conf.arg(metavar="S")] = 60.0
    """Seconds that the policy has."""
    goal: Annotated[tuple[float, float, float] | None, tyro.conf.arg(metavar="EAST NORTH UP")] = (
        None
    )
    """Place to reach, metres from where it stands; the mission has succeeded there."""
    radius: Annotated[float, tyro.conf.arg(metavar="M")] = 0.5
    """Distance from the goal at which it is reached, metres."""
    battery: Annotated[float, tyro.conf.arg(metavar="PERCENT")] = 25.0
    """Charge below which it comes down, and does not take off."""
    ending: Literal["land", "return"] = "land"
    """Where it comes down: where it is, or where it took off."""
    record: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no recording)")
    ] = None
    """Directory for a recording mission.mcap, which `liquid-nav replay` reads."""

    def run(self) -> int:
        """Fly; the exit code is 0 if the mission ended as planned, on the ground.

        Raises:
            ConfigError: on an option out of its range, or a camera or link that cannot be opened.
            BundleError: on a model that cannot be loaded.
            OSError: when the recording cannot be written.

        """
        if not self.vehicle.startswith(PREFIX):
            raise ConfigError(f"the vehicle must be {PREFIX}ADDRESS, got {self.vehicle!r}")

        from liquid_nav.mavlink.autopilots import LAND, RETURN
        from liquid_nav.mission import mission
        from liquid_nav.mission.plan import MissionConfig, Outcome

        file = None if self.record is None else self.record / "mission.mcap"
        with (
            made_directories(*(() if self.record is None else (self.record,))),
            aboard(
                *(self.vehicle, self.model, self.task, self.speed, self.camera, self.camera_fov),
                *(self.system, file),
            ) as drone,
        ):
            plan = MissionConfig(
                height=self.height,
                duration=self.duration,
                battery=self.battery / 100,
                ending=LAND if self.ending == "land" else RETURN,
                needed=drone.needed,
                camera=drone.camera,
                goal=self.goal,
                radius=self.radius,
            )
            flown = mission.Mission(
                *(drone.vehicle, drone.controller, plan),
                say=lambda state, text: drone.say(f"{state.value}: {text}"),
                watch=drone.record,
            )
            before = signal.signal(signal.SIGINT, lambda *_: flown.stop())
            try:
                result = flown.run()
            finally:
                signal.signal(signal.SIGINT, before)
        planned = Outcome.SUCCESS if self.goal is not None else Outcome.TIMEOUT
        if result.outcome is Outcome.OPERATOR:
            return 130
        return 0 if result.outcome is planned and result.landed else 1
