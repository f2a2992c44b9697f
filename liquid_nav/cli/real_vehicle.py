"""What the commands share that fly a real vehicle over MAVLink."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liquid_nav.cli.shipped import shipped_model
from liquid_nav.errors import ConfigError

if TYPE_CHECKING:
    from liquid_nav.command import Command
    from liquid_nav.controller import Controller
    from liquid_nav.events import Channel, Event
    from liquid_nav.mavlink.vehicle import MavlinkVehicle
    from liquid_nav.onboard import PolicyCamera
    from liquid_nav.safety.layer import SafetyConfig

PREFIX = "mavlink:"


@dataclass(frozen=True)
class Aboard:
    """A vehicle that is connected, and what flies it.

    Attributes:
        vehicle: connected.
        controller: of the policy, with its safety layer.
        needed: channels that the policy needs.
        camera: the policy's camera; None if it has none.
        record: called with every event and command; keeps them where that was asked for.
        say: prints a line with the time since the start.

    """

    vehicle: MavlinkVehicle
    controller: Controller
    needed: frozenset[Channel]
    camera: PolicyCamera | None
    record: Callable[[Event | Command], None]
    say: Callable[[str], None]


def safety_of(speed: float) -> SafetyConfig:
    """Settings of the safety layer at a multiple of the usual speeds."""
    from liquid_nav.command import CommandLimits
    from liquid_nav.safety.layer import SafetyConfig

    return SafetyConfig(limits=CommandLimits().scaled(speed))


@contextmanager
def aboard(
    vehicle: str,
    model: Path | None,
    task: str,
    speed: float | None,
    camera: str | None,
    camera_fov: float | None,
    system: int,
    record: Path | None,
) -> Iterator[Aboard]:
    """Load the policy, open camera and link, and close all of it in the end.

    Args:
        vehicle: ``mavlink:`` and an address, see `liquid_nav.mavlink.transport`.
        model, task, speed: the bundle, or the task whose shipped one flies; multiple of its speeds.
        camera: what OpenCV opens; None without a camera.
        camera_fov: its horizontal field of view, degrees; None if it is that of the policy's.
        system: system id of the autopilot; 0 takes the first.
        record: file for a recording; None for none.

    Raises:
        ConfigError: on a policy that needs what the vehicle does not have, or what cannot be
            opened.
        BundleError: on a bundle that cannot be loaded.

    """
    from liquid_nav.command import Command
    from liquid_nav.controller import Controller
    from liquid_nav.events import Channel
    from liquid_nav.mavlink.camera import OpenCvCamera
    from liquid_nav.mavlink.link import Link
    from liquid_nav.mavlink.vehicle import MavlinkVehicle
    from liquid_nav.onboard import load_policy

    link = Link(vehicle.removeprefix(PREFIX), system=system)
    policy, manifest = load_policy(model or shipped_model(task))
    seen = manifest.config.camera if Channel.CAMERA in policy.channels else None
    given = {Channel.IMU, Channel.ODOMETRY} | ({Channel.CAMERA} if camera is not None else set())
    missing = sorted(policy.needed - given)
    if missing:
        raise ConfigError(
            f"the policy needs {', '.join(missing)}; MAVLink brings imu and odometry, and --camera "
            "brings camera"
        )
    factor = manifest.speed if speed is None else speed
    safety = safety_of(factor)
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:7.1f} s  {text}", flush=True)

    with ExitStack() as opened:
        eye = None
        if camera is not None and seen is not None:
            fov = None if camera_fov is None else math.radians(camera_fov)
            eye = OpenCvCamera(camera, seen, fov)
            opened.callback(eye.close)
            say(f"camera {camera}: it covers {eye.covers:.0%} of the policy's view")
        drone = MavlinkVehicle(link, eye, seen)
        opened.enter_context(drone)
        keep: Callable[[Event | Command], None] = lambda _: None  # noqa: E731
        if record is not None:
            from liquid_nav.recording.recorder import FlightRecorder

            recorder = opened.enter_context(FlightRecorder(record, seen, safety=safety))

            def keep(record: Event | Command) -> None:
                if isinstance(record, Command):
                    recorder.command(record)
                else:
                    recorder.event(record)

        yield Aboard(drone, Controller(policy, safety), policy.needed, seen, keep, say)


def fly_real(drone: Aboard, duration: float) -> int:
    """Let the policy fly while the vehicle follows setpoints, and give the exit code.

    Somebody else takes off, and puts the vehicle into the mode that follows setpoints. In the end,
    or after Ctrl-C, the autopilot is told to hold.
    """
    from liquid_nav.command import Mode
    from liquid_nav.mavlink.autopilots import HOLD
    from liquid_nav.mavlink.vehicle import fly

    link, controller = drone.vehicle.link, drone.controller
    told = ""
    end = math.inf

    def on_event(event: Event) -> None:
        drone.record(event)
        controller.on_event(event)

    def done(command: Command) -> bool:
        nonlocal told, end
        drone.record(command)
        held = link.authority.held
        if held and end == math.inf:
            end = time.monotonic() + duration
        words = "the policy flies" if command.mode is Mode.NOMINAL else command.mode.value
        if command.reason and command.mode is not Mode.NOMINAL:
            words = f"{words}: {command.reason}"
        text = words if held else f"waiting: {link.fault or words}"
        if text != told:
            told = text
            drone.say(text)
        return bool(link.authority.lapsed) or time.monotonic() > end

    code = 0
    try:
        fly(drone.vehicle, on_event, controller.command, done)
    except KeyboardInterrupt:
        code = 130
    if link.authority.lapsed:
        drone.say(f"over: {link.authority.lapsed}")
        return 1
    if link.authority.held:
        drone.say(f"{HOLD}: {link.orders.set_mode(HOLD) or 'accepted'}")
    return code
