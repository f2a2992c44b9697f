"""A world that is watched: something else flies the vehicle, and only its poses are known here."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, dist, nan

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav.events import SECOND, Channel, Event
from liquid_nav_sim.arena import Arena
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.faults.kinds import VEHICLE_KINDS, Fault
from liquid_nav_sim.rotation import Quaternion, Vector
from liquid_nav_sim.vehicle.state import Kinematics, Motion

_UNKNOWN = (nan, nan, nan)

_LONGEST_WAY = 0.02
"""Longest way, metres, that the vehicle is moved between two looks for contacts: much less than a
gate's beam is thick."""


class WatchedWorld(Arena):
    """The arena of a vehicle that something else flies: another simulator, or a real one.

    `reset` draws the scene of a seed. Then each call of `move` says where the vehicle was at a
    later time; the sensors measure on the way there, and the flight is judged by the rules of its
    task. `next_event` returns the measurements in order of arrival. The sensors go on after the end
    of the flight, since the vehicle does.

    Poses, random streams and times being equal, frames equal those of `World` bit for bit.

    Physics, autopilot, wind and `randomisation` of the configuration are not used. See `Arena` for
    the attributes.

    Args:
        config: configuration; its sensors must get by with poses.
        gui: whether to show PyBullet's window.

    Raises:
        SimulationError: on a sensor that measures motion, which the vehicle has itself, or on a
            fault of the vehicle; if PyBullet cannot start.
    """

    def __init__(self, config: WorldConfig, gui: bool = False) -> None:
        for sensor in config.sensors:
            if sensor.model.channel in (Channel.IMU, Channel.ODOMETRY):
                raise SimulationError(
                    f"the sensor {sensor.name!r} measures motion, and only poses are known of a "
                    "vehicle that is watched: use its own, and leave this one out"
                )
        super().__init__(config, gui)

    def reset(self, seed: int) -> None:
        """Draw the scene of `seed`, with the vehicle at its start at time 0.

        Raises:
            SimulationError: on a seed that is not a whole number >= 0, after `close`, or on a fault
                of the configuration that acts on the vehicle.
        """
        for fault in self.config.faults:
            _check_kind(fault)
        self._set_vehicle(self.config.vehicle, self._set_scene(seed))
        x, y, z, w = self.kinematics.orientation
        self._see(self.kinematics.position, (x, y, z, w))

    def inject(self, fault: Fault) -> None:
        """As `Arena.inject`.

        Raises:
            SimulationError: also on a fault that acts on the vehicle.
        """
        _check_kind(fault)
        super().inject(fault)

    def place(
        self, position: Sequence[float] | NDArray[np.float64], orientation: Sequence[float]
    ) -> bool:
        """Say where the vehicle is at time 0, if that is not the start of the scene.

        Args:
            position: metres, world ENU, shape (3,).
            orientation: unit quaternion x, y, z, w, body FLU to world ENU, (4,).

        Returns:
            Whether it touches nothing there.
        """
        x, y, z = position
        qx, qy, qz, qw = orientation
        self._see((float(x), float(y), float(z)), (qx, qy, qz, qw))
        begun = replace(self.scene, start_position=np.array(self.kinematics.position))
        self.attempt = self.config.task.attempt(begun)
        pybullet.performCollisionDetection(physicsClientId=self.client)
        return not pybullet.getContactPoints(bodyA=self._vehicle.body, physicsClientId=self.client)

    def move(
        self,
        time: int,
        position: Sequence[float] | NDArray[np.float64],
        orientation: Sequence[float],
    ) -> None:
        """Follow the vehicle to a later pose, by interpolation.

        Args:
            time: ns since the start of the flight, later than before.
            position, orientation: as in `place`.

        Raises:
            SimulationError: on a time that is not later.
        """
        start, before = self.time, self._kinematics
        if time <= start:
            raise SimulationError(f"a pose must be later than the one before, {start} ns: {time}")
        x, y, z = position
        qx, qy, qz, qw = orientation
        after = Kinematics(
            (float(x), float(y), float(z)), (qx, qy, qz, qw), _UNKNOWN, _UNKNOWN, _UNKNOWN
        )
        way = Motion(before, after, start, time)
        longest = max((time - start) / self.config.step, dist(before[0], after[0]) / _LONGEST_WAY)
        steps = max(1, ceil(longest))
        for step in range(1, steps):
            state = way.at(start + (time - start) * step // steps)
            self._step(
                start + (time - start) * step // steps,
                tuple(state.position.tolist()),
                tuple(state.orientation.tolist()),
            )
        self._step(time, after.position, after.orientation)

    def next_event(self, until: int) -> Event | None:
        """Remove and return the next measurement that has arrived by `until` ns, if any."""
        return self._sensors.next(until)

    def _step(self, time: int, position: Vector, orientation: Quaternion) -> None:
        before, start = self._kinematics, self.time
        self._see(position, orientation)
        self.time = time
        self._stage(time)
        if self.outcome is None:
            self.attempt.update(position, time / SECOND)
        self._sensors.advance(Motion(before, self._kinematics, start, time))
        if self.outcome is None:
            pybullet.performCollisionDetection(physicsClientId=self.client)
            self._judge()

    def _see(self, position: Vector, orientation: Quaternion) -> None:
        """Put the vehicle's body in its place."""
        self._kinematics = Kinematics(position, orientation, _UNKNOWN, _UNKNOWN, _UNKNOWN)
        self._state = None
        pybullet.resetBasePositionAndOrientation(
            self._vehicle.body, position, orientation, physicsClientId=self.client
        )


def _check_kind(fault: Fault) -> None:
    if fault.kind in VEHICLE_KINDS:
        raise SimulationError(
            f"the fault {fault.kind} acts on the vehicle, which something else flies here: break "
            "a sensor, or the vehicle where it is flown"
        )
