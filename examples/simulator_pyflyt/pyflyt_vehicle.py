"""The quadrotors of PyFlyt as vehicles of liquid_nav.

PyFlyt's flight mode 5 takes velocities along the axes of the body, also of a tilted one, and a
yaw rate. A vehicle that flies forward is pitched down, so that a level command, given as it is,
makes it sink: its upward axis points forward too. Commands are therefore turned from the heading
frame into the body's frame in every control period; ``tilted=True`` leaves that out.
"""

import contextlib
import functools
import io
import math
from typing import Any

import numpy as np
from PyFlyt.core import Aviary

from liquid_nav.command import Command
from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.abroad.bullet import BulletVehicle, Launched
from liquid_nav_sim.scenes.scene import Scene

HULLS = {"cf2x": 0.07, "primitive_drone": 0.35}
"""Radius of each of PyFlyt's quadrotors, metres."""
MOUNTS = {"cf2x": (0.03, 0.0, 0.0), "primitive_drone": (0.3, 0.0, 0.0)}
"""Place of the camera on each, metres, body FLU: in front of all its parts."""

VELOCITY, POSITION = 5, 7
"""Flight modes: velocities along the body's axes with a yaw rate; a position with a yaw."""

SETTLING = 2.0
"""Seconds in which it comes to hover from its launch, with motors at rest, in the air."""


class PyFlytVehicle(BulletVehicle):
    """A quadrotor of PyFlyt.

    Args:
        scene: where to fly.
        seed: seed of the noise of PyFlyt's motors.
        airframe: name of the model: cf2x, its Crazyflie, or primitive_drone, of 1 kg.
        tilted: give PyFlyt commands as if the heading frame were the body's frame.
        control_rate: control periods a second.
        options: those of `BulletVehicle`.

    """

    gravity = 9.81

    def __init__(
        self,
        scene: Scene,
        seed: int,
        airframe: str = "cf2x",
        *,
        tilted: bool = False,
        control_rate: int = 120,
        **options: Any,
    ) -> None:
        super().__init__(scene, seed, **options)
        if airframe not in HULLS:
            raise ConfigError(
                f"PyFlyt has no quadrotor {airframe!r}; choose one of {', '.join(HULLS)}"
            )
        self.hull, self.mount, self.control_rate = HULLS[airframe], MOUNTS[airframe], control_rate
        self._airframe, self._tilted = airframe, tilted

    def launch(self) -> Launched:
        """Start an aviary and hold the vehicle in place until it hovers."""
        x, y, z = self.scene.start_position.tolist()
        with contextlib.redirect_stdout(io.StringIO()):
            self._aviary = aviary = Aviary(
                start_pos=np.array([[x, y, z]]),
                start_orn=np.array([[0.0, 0.0, self.scene.start_yaw]]),
                drone_type="quadx",
                drone_options={"drone_model": self._airframe, "control_hz": self.control_rate},
                np_random=np.random.default_rng(self.seed),
            )
        aviary.set_mode(POSITION)
        aviary.set_setpoint(0, np.array([x, y, self.scene.start_yaw, z]))
        while aviary.elapsed_time < SETTLING:
            aviary.step()
        aviary.set_mode(VELOCITY)
        return Launched(aviary._client, aviary.drones[0].Id, aviary.planeId)

    def advance(self, command: Command) -> None:
        """Turn the command into the body's frame, and fly one control period."""
        velocity = np.array([command.vx, command.vy, command.vz])
        if not self._tilted:
            _, rotation = self._pose()
            heading = math.atan2(rotation[1, 0], rotation[0, 0])
            c, s = math.cos(heading), math.sin(heading)
            velocity = rotation.T @ [[c, -s, 0], [s, c, 0], [0, 0, 1]] @ velocity
        u, v, w = velocity
        self._aviary.set_setpoint(0, np.array([u, v, command.yaw_rate, w]))
        # New bodies, such as those of the scene, need places in its table of contacts.
        if len(self._aviary.contact_array) < self._aviary.getNumBodies():
            self._aviary.register_all_new_bodies()
        self._aviary.step()

    def close(self) -> None:
        """Disconnect the aviary."""
        self._aviary.disconnect()


crazyflie = functools.partial(PyFlytVehicle, airframe="cf2x")
quad = functools.partial(PyFlytVehicle, airframe="primitive_drone")
