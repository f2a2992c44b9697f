"""Flights for training: the expert labels every event, whether it flies itself or a policy does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liquid_nav.command import Command, CommandLimits
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, CameraFrame
from liquid_nav.learning.data.episodes import Episode, EpisodeBuilder
from liquid_nav.learning.experts import expert_of
from liquid_nav.learning.flying.sensing import events
from liquid_nav.learning.flying.sight import sight
from liquid_nav.onboard import RawCommand
from liquid_nav.onboard.encoders import CAMERA_AND_IMU, Encoder
from liquid_nav_sim.world import Outcome, World

LONGEST = 24 * SECOND
"""Training flights end after this time, as a timeout: a policy that is lost gives little more to
learn from. The longest flight of an expert, through gates at difficulty 1, takes 21 s."""


@dataclass
class Bursts:
    """Bursts of wrong commands that push the vehicle off its path; labels do not contain them.

    Attributes:
        rate: bursts per second of undisturbed flight; 0 for none.
        rng: generator of their times and sizes.

    """

    rate: float
    rng: np.random.Generator
    _until: int = 0
    _next: int | None = None
    _offset: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)

    def disturb(self, now: int, command: RawCommand, limits: CommandLimits) -> RawCommand:
        """Return the command for the vehicle at `now` ns, which replaces `command` in a burst."""
        if self.rate <= 0:
            return command
        if self._next is None:
            self._next = now + round(self.rng.exponential(1 / self.rate) * SECOND)
        if now >= self._next:
            self._until = now + round(self.rng.uniform(0.2, 1.0) * SECOND)
            self._next = self._until + round(self.rng.exponential(1 / self.rate) * SECOND)
            self._offset = tuple(self.rng.uniform(-1, 1, 4) * (2.0, 1.2, 0.8, 1.5))
        if now >= self._until:
            return command
        vx, vy, vz, yaw_rate = (
            min(max(c + o, -m), m)
            for c, o, m in zip(command, self._offset, limits.magnitude, strict=True)
        )
        return (vx, vy, vz, yaw_rate)


def record(
    world: World,
    seed: int,
    controller: Controller | None,
    bursts: Bursts,
    encoders: Sequence[Encoder] = CAMERA_AND_IMU,
) -> Episode:
    """Fly the flight of `seed` and label every event that is read.

    Args:
        world: the simulator; reset here.
        seed: seed of scene and disturbances.
        controller: controller that flies, reset here; None lets the expert fly.
        bursts: disturbance of the commands.
        encoders: encoders that read the events; if one reads goals, the task's goals are events.

    """
    world.reset(seed)
    expert = expert_of(world)
    if controller is not None:
        controller.reset()
    builder = EpisodeBuilder(encoders)
    limits = CommandLimits().scaled(world.config.task.speed)
    for event in events(world, {encoder.channel for encoder in encoders}):
        now = event.arrival
        if now > LONGEST:
            break
        expert.on_event(event)
        label = expert.command()
        seen = None
        if isinstance(event, CameraFrame):
            seen = sight(world, world.view(event))
        builder.add(event, label, expert.seen, seen)
        command: RawCommand = label
        if controller is not None:
            controller.on_event(event)
            command = controller.command(now).vector
        world.command(Command(now, *bursts.disturb(now, command, limits)))
    return builder.build((world.outcome or Outcome.TIMEOUT).value)
