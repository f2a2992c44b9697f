"""A quadrotor as one rigid body in PyBullet: rotors, air drag, exact gyroscopic torque."""

import math
from collections.abc import Sequence

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav_sim.rotation import Matrix, Quaternion, Vector, cross, rotate_back, rotation_matrix
from liquid_nav_sim.vehicle.airframe import ROTOR_SIGNS, VehicleParameters
from liquid_nav_sim.vehicle.rotors import PerRotor, Rotors
from liquid_nav_sim.vehicle.state import GRAVITY, Kinematics

AIR_DENSITY = 1.225
"""Of the standard atmosphere at sea level, kg/m^3."""


class Vehicle:
    """One quadrotor in a PyBullet client.

    A step is `apply`, `pybullet.stepSimulation`, `observe`; gravity and step time are the caller's,
    and the ground is the plane z = 0.

    Forces: the rotors' thrust, more of it near the ground; their drag, linear in the airspeed and
    in their speed (Faessler et al., RA-L 2018; Foerster 2015); the drag of the hull along the
    airspeed v, density / 2 * area * |v| v. Torques: of the thrusts, of the air on the rotors, and
    of rotors that speed up or are turned over.

    Bullet takes its gyroscopic torque at the start of the step, which feeds energy to a tumbling
    body: 3.7 % in 10 s at 7 rad/s and 2.5 ms steps. `apply` turns it into the mean of both ends of
    the step, which keeps energy and angular momentum: in 10 s at 4 ms steps both stay within
    0.001 % at 7 rad/s and within 0.05 % at 29 rad/s, and neither drifts. As in every Bullet body,
    velocities are half a step behind poses (leapfrog).

    Left out: blade flapping, the drag of a turning body, air that the vehicle itself stirs.

    Args:
        client: PyBullet client to make the body in.
        parameters: the airframe.

    Attributes:
        body: id of the body in the client.
        rotors: what turns.
    """

    def __init__(self, client: int, parameters: VehicleParameters) -> None:
        self.parameters = parameters
        self._client = client
        self._inertia = parameters.inertia
        self._lever = parameters.lever
        self._rotor_drag = parameters.rotor_drag
        x, y, z = parameters.body_drag_area
        self._body_drag: Vector = (
            AIR_DENSITY / 2 * x,
            AIR_DENSITY / 2 * y,
            AIR_DENSITY / 2 * z,
        )
        self._rotor_radius, self._ground_effect = parameters.rotor_radius, parameters.ground_effect
        self.body = _create_body(client, parameters)
        self.reset((0.0, 0.0, 0.0), 0.0)

    def reset(
        self,
        position: Sequence[float] | NDArray[np.float64],
        yaw: float,
        linear_velocity: Sequence[float] | NDArray[np.float64] = (0.0, 0.0, 0.0),
    ) -> None:
        """Place the vehicle level, not turning, with its rotors at hover and its battery full.

        Args:
            position: metres, world ENU, shape (3,).
            yaw: radians, 0 looks along +x.
            linear_velocity: m/s, world ENU, shape (3,).
        """
        quaternion = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        pybullet.resetBasePositionAndOrientation(
            self.body, position, quaternion, physicsClientId=self._client
        )
        pybullet.resetBaseVelocity(
            self.body, linear_velocity, (0.0, 0.0, 0.0), physicsClientId=self._client
        )
        self.rotors = Rotors(self.parameters)
        self._read()

    def apply(self, rotor_thrust_setpoints: PerRotor, wind: Vector, dt: float) -> None:
        """Put forces and torques of the coming step on the body; call once before each step.

        Args:
            rotor_thrust_setpoints: N, clipped to what a rotor can give, (4,).
            wind: velocity of the air, m/s, world ENU, (3,).
            dt: length of the step, seconds.
        """
        rotors = self.rotors
        rotors.advance(rotor_thrust_setpoints, dt)
        # Signs as in `ROTOR_SIGNS`.
        a, b, c, d = self._near_ground(rotors.thrusts)
        torque = (
            self._lever * (b + c - a - d),
            self._lever * (b + d - a - c),
            rotors.reaction,
        )
        (vx, vy, vz), (ux, uy, uz) = self._velocity, wind
        ax, ay, az = rotate_back(self._attitude, (vx - ux, vy - uy, vz - uz))
        airspeed = math.sqrt(ax * ax + ay * ay + az * az)
        (rx, ry, rz), (bx, by, bz) = self._rotor_drag, self._body_drag
        turning = rotors.mean_speed_sum
        force = (
            -(rx * turning + bx * airspeed) * ax,
            -(ry * turning + by * airspeed) * ay,
            a + b + c + d - (rz * turning + bz * airspeed) * az,
        )
        pybullet.applyExternalForce(
            self.body,
            -1,
            force,
            (0.0, 0.0, 0.0),
            pybullet.LINK_FRAME,
            physicsClientId=self._client,
        )
        pybullet.applyExternalTorque(
            self.body,
            -1,
            with_mean_gyroscopic_torque(
                torque, self._angular_velocity, self._inertia, rotors.angular_momentum, dt
            ),
            pybullet.LINK_FRAME,
            physicsClientId=self._client,
        )

    def load(self, factor: float) -> None:
        """Let the vehicle weigh `factor` times its own mass, with the same inertia, from now on."""
        pybullet.changeDynamics(
            self.body,
            -1,
            mass=factor * self.parameters.mass,
            localInertiaDiagonal=self._inertia,
            physicsClientId=self._client,
        )

    def observe(self, dt: float) -> Kinematics:
        """Read the true state after a step of `dt` seconds.

        The specific force comes from the change of velocity, so it contains contact forces.
        """
        ox, oy, oz = self._velocity
        self._read()
        vx, vy, vz = self._velocity
        force = ((vx - ox) / dt, (vy - oy) / dt, (vz - oz) / dt + GRAVITY)
        return Kinematics(
            self._position,
            self._quaternion,
            self._velocity,
            self._angular_velocity,
            rotate_back(self._attitude, force),
        )

    def _near_ground(self, thrusts: PerRotor) -> PerRotor:
        """Thrusts as the ground raises them, each by the height of its rotor."""
        if self._ground_effect == 0.0:
            return thrusts
        height, row, lever = self._position[2], self._attitude[2], self._lever
        forward, left = lever * row[0], lever * row[1]
        a, b, c, d = thrusts
        return (
            a * self._raise(height + forward - left),
            b * self._raise(height - forward + left),
            c * self._raise(height + forward + left),
            d * self._raise(height - forward - left),
        )

    def _raise(self, height: float) -> float:
        return ground_effect(height, self._rotor_radius, self._ground_effect)

    def _read(self) -> None:
        self._position: Vector
        self._quaternion: Quaternion
        self._position, self._quaternion = pybullet.getBasePositionAndOrientation(
            self.body, physicsClientId=self._client
        )
        self._velocity: Vector
        self._velocity, spin = pybullet.getBaseVelocity(self.body, physicsClientId=self._client)
        self._attitude: Matrix = rotation_matrix(self._quaternion)
        self._angular_velocity: Vector = rotate_back(self._attitude, spin)


def ground_effect(height: float, radius: float, factor: float = 1.0) -> float:
    """Thrust of a rotor near the ground over its thrust in free air, at the same power.

    1 / (1 - factor (R / 4 z)^2), by Cheeseman and Bennett (1955) with a factor of 1. Below half a
    radius, where they have no data, it stays what it is there.

    Args:
        height: z of the rotor above the ground, metres.
        radius: R, metres.
        factor: in [0, 3]; more than 1 for several rotors close together.
    """
    near = radius / (4 * max(height, radius / 2))
    return 1 / (1 - factor * near * near)


def with_mean_gyroscopic_torque(
    torque: Vector, angular_velocity: Vector, inertia: Vector, rotor_momentum: float, dt: float
) -> Vector:
    """Torque for Bullet so that the gyroscopic torque acts as the mean of both ends of the step.

    Bullet itself subtracts w x I w of the start, and knows nothing of the rotors' angular momentum
    along z. The end solves the trapezoidal rule; a step turns the body by a small angle, of which
    three fixed-point rounds leave an error of fourth order.
    """
    (tx, ty, tz), (wx, wy, wz), (ix, iy, iz) = torque, angular_velocity, inertia
    bx, by, bz = cross(angular_velocity, (ix * wx, iy * wy, iz * wz))
    gx, gy, gz = ex, ey, ez = bx + rotor_momentum * wy, by - rotor_momentum * wx, bz
    half = dt / 2
    for _ in range(3):
        ux = wx + half * (2 * tx - gx - ex) / ix
        uy = wy + half * (2 * ty - gy - ey) / iy
        uz = wz + half * (2 * tz - gz - ez) / iz
        ex, ey, ez = cross((ux, uy, uz), (ix * ux, iy * uy, iz * uz + rotor_momentum))
    return (
        tx + bx - (gx + ex) / 2,
        ty + by - (gy + ey) / 2,
        tz + bz - (gz + ez) / 2,
    )


def _create_body(client: int, parameters: VehicleParameters) -> int:
    collision = pybullet.createCollisionShape(
        pybullet.GEOM_CYLINDER,
        radius=parameters.collision_radius,
        height=parameters.collision_height,
        physicsClientId=client,
    )
    body: int = pybullet.createMultiBody(
        parameters.mass, collision, _create_visual(client, parameters), physicsClientId=client
    )
    pybullet.changeDynamics(
        body,
        -1,
        linearDamping=0,
        angularDamping=0,
        localInertiaDiagonal=parameters.inertia,
        physicsClientId=client,
    )
    return body


def _create_visual(client: int, parameters: VehicleParameters) -> int:
    """Draw hull, two crossed arms and four rotor discs, the front pair red to tell the heading."""
    arm, lever = parameters.arm_length, parameters.lever
    boxes = (
        ((0.5 * arm, 0.3 * arm, 0.16 * arm), 0.0),
        ((arm, 0.07 * arm, 0.05 * arm), math.pi / 4),
        ((arm, 0.07 * arm, 0.05 * arm), -math.pi / 4),
    )
    discs = [(x * lever, y * lever, 0.15 * arm) for x, y, _ in ROTOR_SIGNS]
    dark, red, grey = (0.1, 0.1, 0.12, 1.0), (0.8, 0.1, 0.1, 1.0), (0.5, 0.5, 0.55, 1.0)
    shape: int = pybullet.createVisualShapeArray(
        shapeTypes=[pybullet.GEOM_BOX] * 3 + [pybullet.GEOM_CYLINDER] * 4,
        halfExtents=[size for size, _ in boxes] + [(0.0, 0.0, 0.0)] * 4,
        radii=[0.0] * 3 + [0.5 * arm] * 4,
        lengths=[0.0] * 3 + [0.04 * arm] * 4,
        visualFramePositions=[(0.0, 0.0, 0.0)] * 3 + discs,
        visualFrameOrientations=[
            (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)) for _, yaw in boxes
        ]
        + [(0.0, 0.0, 0.0, 1.0)] * 4,
        rgbaColors=[dark] * 3 + [red if x > 0 else grey for x, _, _ in discs],
        physicsClientId=client,
    )
    return shape
