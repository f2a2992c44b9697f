"""``liquid-nav fly``: a task in the simulator, in a table and in files."""

import contextlib
import ctypes
import importlib
import math
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from liquid_nav.cli.choices import (
    appearance_names,
    autopilot_names,
    one_of,
    task_names,
    vehicle_names,
)
from liquid_nav.cli.real_vehicle import PREFIX, aboard, fly_real
from liquid_nav.cli.shipped import shipped_model
from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.files import check_destinations, check_folder, made_directories
from liquid_nav.learning.quiet_import import import_pybullet

if TYPE_CHECKING:
    from liquid_nav.evaluation.report import Evaluation
    from liquid_nav.onboard import Policy
    from liquid_nav_sim.config import WorldConfig

TASK = "target"
VEHICLE, AUTOPILOT, APPEARANCE = "racing_250", "nominal", "train"
SENSORS = ("imu", "camera")
"""What is fitted by default, where the policy reads it; the expert gets both."""

FOR_REAL = (
    *("task", "speed", "model", "vehicle"),
    *("camera", "camera_fov", "duration", "record"),
)
"""Options that a real vehicle takes."""


@dataclass(frozen=True)
class Fly:
    """Fly a task in the simulator and print a row for each flight; or fly a real vehicle.

    Example: liquid-nav fly --task target --episodes 3 --out flights
    """

    task: Annotated[str, one_of(task_names, default=lambda: TASK)] = TASK
    """The task to fly."""
    difficulty: Annotated[float, tyro.conf.arg(metavar="D")] = 0.5
    """How hard the task is, from 0 to 1."""
    speed: Annotated[
        float | None,
        tyro.conf.arg(metavar="X", help_behavior_hint="(default: that of the model, or 1)"),
    ] = None
    """How fast to fly, as a multiple of the usual speeds. Tasks and command limits scale."""
    pilot: Literal["policy", "expert"] = "policy"
    """Who flies: a trained policy, or the expert that policies learn from, who knows the scene."""
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """Number of flights. After Ctrl-C the files hold the flights that were finished."""
    seed: Annotated[int, tyro.conf.arg(metavar="S")] = 100_000
    """Seed of the first flight; the next ones follow. Training uses the seeds below 100000."""
    model: Annotated[
        Path | None,
        tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: the model shipped for TASK)"),
    ] = None
    """Directory of the model bundle to fly; it must have been trained for the task."""
    vehicle: Annotated[str, one_of(vehicle_names, default=lambda: VEHICLE, otherwise="FILE")] = (
        VEHICLE
    )
    """The vehicle: a name, or a .toml file with parameters as in sim/vehicle/airframes. A real one
    is mavlink:ADDRESS, such as mavlink:udp:14540, which somebody else has brought into the air."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="SOURCE")] = None
    """Camera of a real vehicle: number of a device, or what OpenCV opens: a stream, a file."""
    camera_fov: Annotated[
        float | None,
        tyro.conf.arg(metavar="DEG", help_behavior_hint="(default: that of the policy's camera)"),
    ] = None
    """Horizontal field of view of that camera, degrees."""
    duration: Annotated[
        float | None,
        tyro.conf.arg(metavar="S", help_behavior_hint="(default: until Ctrl-C)"),
    ] = None
    """Seconds for which a real vehicle is flown."""
    autopilot: Annotated[str, one_of(autopilot_names, default=lambda: AUTOPILOT)] = AUTOPILOT
    """How the vehicle's autopilot follows commands: tuned, late, inaccurate, or stiff."""
    appearance: Annotated[
        str, one_of(appearance_names, default=lambda: APPEARANCE, otherwise="NAME:FOLDER")
    ] = APPEARANCE
    """How the scenes look: a family, after a colon with a folder of photographs for the ground."""
    faults: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")
    ] = None
    """Faults to inject into every flight: a .toml file, see docs/simulator.md."""
    sensors: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="NAME[=KIND]...", help_behavior_hint="(default: what the policy reads)"
        ),
    ] = ()
    """The sensors: kinds such as imu, camera, range_finder, odometry, or names with a kind each.
    What the policy reads is fitted in any case."""
    renderer: Literal["bullet", "raycast"] = "bullet"
    """What draws for the cameras: PyBullet's renderer, or a faster ray caster."""
    wind: Annotated[float, tyro.conf.arg(metavar="M/S")] = 1.0
    """Largest speed of the steady wind, m/s."""
    gui: bool = False
    """Fly in real time in a window; drawing it can change pixels of the camera, and so commands."""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no files)")
    ] = None
    """Directory for a video flights.mp4, a plot of the paths flights.png, figures result.json."""
    json: Annotated[
        Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="(default: no file)")
    ] = None
    """File for the figures, as JSON."""
    record: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: no recording)")
    ] = None
    """Directory for recordings flight_SEED.mcap, which `liquid-nav replay` and ROS tools read."""
    video_episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """Number of flights that the video shows, from the first one on; 0 makes no video."""

    def run(self) -> int:
        """Fly, write the files that were asked for, and give the exit code.

        Raises:
            ConfigError: on an option out of its range.
            BundleError: when there is no policy for the task, or its bundle is damaged.
            OSError: when a file cannot be written.

        """
        if self.vehicle.startswith(PREFIX):
            return self._fly_real()
        self._check()

        from liquid_nav.onboard import PolicyCamera, load_policy
        from liquid_nav_sim.faults.schedule import read_faults
        from liquid_nav_sim.vehicle.autopilot_model import load_autopilot
        from liquid_nav_sim.vehicle.files import load_vehicle

        vehicle = load_vehicle(self.vehicle)
        faults = () if self.faults is None else read_faults(self.faults)
        if self.faults is not None and not faults:
            raise ConfigError(f"faults {self.faults}: it holds no [[fault]]")
        policy, seen, speed = None, PolicyCamera(), self.speed or 1.0
        if self.pilot == "policy":
            model = self.model or shipped_model(self.task)
            policy, manifest = load_policy(model)
            if manifest.task != self.task:
                raise BundleError(
                    f"model {model} was trained for task {manifest.task!r}, not {self.task!r}"
                )
            seen = manifest.config.camera or seen
            speed = self.speed or manifest.speed

        import_pybullet()

        from liquid_nav.learning.flying.sensing import fitted
        from liquid_nav_sim.air.wind import WindModel
        from liquid_nav_sim.config import WorldConfig, fit
        from liquid_nav_sim.tasks.registry import make_task

        words = self.sensors or [n for n in SENSORS if policy is None or n in policy.channels]
        sensors = []
        for name, _, kind in (word.partition("=") for word in words):
            # The policy's own camera has the lens of its images.
            options = asdict(seen) if name == "camera" else {}
            sensors.append(fit(name, vehicle, options, kind))
        task = make_task(self.task, self.difficulty, speed)
        check_folder("--json", self.json, self.out, self.record)
        directories = [self.out, self.record, self.json and self.json.parent]
        with made_directories(*(path for path in directories if path is not None)):
            config = WorldConfig(
                vehicle=vehicle,
                autopilot=load_autopilot(self.autopilot),
                sensors=tuple(sensors),
                wind=WindModel(steady=self.wind),
                faults=faults,
                appearance=self.appearance,
                task=task,
                renderer=self.renderer,
            )
            config = fitted(config, () if policy is None else policy.needed)
            if not config.sensors:
                # A policy that reads goals alone is asked for a command at every sample.
                config = config.with_sensor("imu")
            evaluation = self._evaluate(config, policy)
        return 130 if evaluation.interrupted else 0

    def _fly_real(self) -> int:
        """Fly a real vehicle; options of the simulator are refused."""
        for option in fields(self):
            if option.name not in FOR_REAL and getattr(self, option.name) != option.default:
                name = option.name.replace("_", "-")
                raise ConfigError(f"--{name} is for the simulator, not for --vehicle {PREFIX}...")
        duration = math.inf if self.duration is None else self.duration
        if not duration > 0:
            raise ConfigError(f"--duration must be positive, got {self.duration}")
        file = None if self.record is None else self.record / "flight.mcap"
        with (
            made_directories(*(() if self.record is None else (self.record,))),
            aboard(
                self.vehicle,
                self.model,
                self.task,
                self.speed,
                self.camera,
                self.camera_fov,
                0,
                file,
            ) as drone,
        ):
            return fly_real(drone, duration)

    def _evaluate(self, config: "WorldConfig", policy: "Policy | None") -> "Evaluation":
        """Fly all flights; without a policy the expert flies."""
        pybullet = import_pybullet()

        from liquid_nav.command import CommandLimits
        from liquid_nav.controller import Controller
        from liquid_nav.evaluation.report import evaluate
        from liquid_nav.learning.experts import expert_of
        from liquid_nav.learning.experts.base import ExpertPilot
        from liquid_nav.safety.layer import SafetyConfig
        from liquid_nav_sim.world import World

        safety = SafetyConfig(limits=CommandLimits().scaled(config.task.speed))
        world = World(config, gui=self.gui)
        try:
            return evaluate(
                ExpertPilot(expert_of(world)) if policy is None else Controller(policy, safety),
                world,
                self.episodes,
                self.seed,
                out=self.out,
                json_path=self.json,
                video_episodes=self.video_episodes,
                real_time=self.gui,
                record=self.record,
                safety=None if policy is None else safety,
            )
        except pybullet.error as error:
            if not self.gui:
                raise
            raise ConfigError(f"the simulator's window was closed: {error}") from error
        finally:
            with contextlib.suppress(pybullet.error):
                world.close()

    def _check(self) -> None:
        """Refuse options that make no sense, before anything heavy is imported."""
        for name in ("camera", "camera_fov", "duration"):
            if getattr(self, name) is not None:
                option = name.replace("_", "-")
                raise ConfigError(f"--{option} goes with --vehicle {PREFIX}ADDRESS")
        if not 0 <= self.difficulty <= 1:
            raise ConfigError(f"--difficulty must be in [0, 1], got {self.difficulty}")
        if self.speed is not None and not 0 < self.speed < math.inf:
            raise ConfigError(f"--speed must be positive and finite, got {self.speed}")
        if self.pilot == "expert" and self.model is not None:
            raise ConfigError("--model goes with --pilot policy: the expert has no model")
        if self.episodes < 1:
            raise ConfigError(f"--episodes must be at least 1, got {self.episodes}")
        if self.seed < 0:
            raise ConfigError(f"--seed must not be negative, got {self.seed}")
        if self.video_episodes < 0:
            raise ConfigError(f"--video-episodes must not be negative, got {self.video_episodes}")
        check_destinations(self.out, self.json)
        if self.record is not None:
            if self.record.exists() and not self.record.is_dir():
                raise ConfigError(f"--record {self.record} exists and is not a directory")
            # Where the extra for recordings is not installed, this fails before any file is made.
            importlib.import_module("liquid_nav.recording.recorder")
        if self.gui:
            _check_display()


def _check_display() -> None:
    """Look for an X server: PyBullet ends the process when it finds none for its window."""
    if not sys.platform.startswith("linux"):
        return
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise ConfigError("--gui needs X11, but its library libX11.so.6 is missing") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = x11.XOpenDisplay(None)
    if not display:
        raise ConfigError("--gui needs a display, but none could be opened: is DISPLAY set?")
    x11.XCloseDisplay(ctypes.c_void_p(display))
