"""The Crazyflie of gym-pybullet-drones as a vehicle of liquid_nav.

Its VelocityAviary keeps the yaw and flies 0.25 m/s at most, so commands go to the controller that
it uses, `DSLPIDControl`, which tracks a velocity in the world and a yaw.
"""

import contextlib
import io
import math
from typing import Any

import numpy as np
from gym_pybullet_drones.control.DSLPIDControl import DSLPIDControl
from gym_pybullet_drones.envs.CtrlAviary import CtrlAviary
from gym_pybullet_drones.utils.enums import DroneModel, Physics
from numpy.typing import NDArray

from liquid_nav.command import Command
from liquid_nav.evaluation.abroad.bullet import BulletVehicle, Launched
from liquid_nav_sim.scenes.scene import Scene

SETTLING = 2.0
"""Seconds in which it comes to hover from its launch in the air."""


class GymPyBulletDronesVehicle(BulletVehicle):
    """The Crazyflie 2.x.

    Args:
        scene: where to fly.
        seed: seed of the flight; nothing in this simulator is random.
        physics: which forces act, such as pyb or pyb_gnd_drag_dw, see its enum `Physics`.
        options: those of `BulletVehicle`.

    """

    control_rate = 240
    gravity = 9.8
    hull = 0.06

    def __init__(self, scene: Scene, seed: int, *, physics: str = "pyb", **options: Any) -> None:
        super().__init__(scene, seed, **options)
        self._physics = Physics(physics)

    def launch(self) -> Launched:
        """Start an aviary and hold the vehicle in place until it hovers."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._aviary = aviary = CtrlAviary(
                initial_xyzs=self.scene.start_position[None],
                initial_rpys=np.array([[0.0, 0.0, self.scene.start_yaw]]),
                physics=self._physics,
                ctrl_freq=self.control_rate,
            )
        self._autopilot = DSLPIDControl(DroneModel.CF2X)
        self._yaw = self.scene.start_yaw
        for _ in range(round(SETTLING * self.control_rate)):
            self._step(self.scene.start_position, np.zeros(3), 0.0)
        return Launched(aviary.CLIENT, int(aviary.DRONE_IDS[0]), aviary.PLANE_ID)

    def advance(self, command: Command) -> None:
        """Turn the command into the world's frame, and fly one control period."""
        self._yaw += command.yaw_rate / self.control_rate
        heading = self._aviary.rpy[0, 2]
        c, s = math.cos(heading), math.sin(heading)
        velocity = np.array(
            [c * command.vx - s * command.vy, s * command.vx + c * command.vy, command.vz]
        )
        self._step(self._aviary.pos[0], velocity, command.yaw_rate)

    def close(self) -> None:
        """Disconnect the aviary."""
        self._aviary.close()

    def _step(
        self, place: NDArray[np.float64], velocity: NDArray[np.float64], yaw_rate: float
    ) -> None:
        """Fly one control period towards a place, metres, at a velocity, m/s, both world."""
        aviary = self._aviary
        speeds, _, _ = self._autopilot.computeControl(
            1 / self.control_rate,
            aviary.pos[0],
            aviary.quat[0],
            aviary.vel[0],
            aviary.ang_v[0],
            place,
            np.array([0.0, 0.0, self._yaw]),
            velocity,
            np.array([0.0, 0.0, yaw_rate]),
        )
        aviary.step(speeds[None])
