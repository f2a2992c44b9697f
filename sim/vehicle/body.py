"""A quadrotor as one rigid body in PyBullet, with its rotors, air drag and gyroscopic torque."""

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
"""Density of the standard atmosphere at sea level, kg/m^3."""


class Vehicle:
    """One quadrotor in a PyBullet client.

    One step is `apply`, then `pybullet.stepSimulation`, then `observe`. The caller sets gravity and
    the time step of the client. The ground is the plane z = 0.

    Forces: the thrust of the rotors, which grows near the ground; the drag of the rotors, linear in
    the airspeed and in the rotor speed (Faessler et al., RA-L 2018; Foerster 2015); and the drag of
    the hull, density / 2 * area * |v| v against the airspeed v. Torques: from differences of
    thrust, from the air on the rotors, and from rotors that change their speed or their axis.

    Bullet computes the gyroscopic torque at the start of the step, which adds energy to a tumbling
    body: 3.7 % in 10 s at 7 rad/s and steps of 2.5 ms. `apply` replaces it by the mean of the
    start and the end of the step, which conserves energy and angular momentum: in 10 s at steps of
    4 ms both stay within 0.001 % at 7 rad/s and within 0.05 % at 29 rad/s, and neither drifts. As
    for every Bullet body, velocities are half a step behind poses (leapfrog).

    Not modelled: blade flapping, rotational drag of the body, and the vehicle's own wake.

    Args:
        client: PyBullet client to create the body in.
        parameters: the airframe.

    Attributes:
        parameters: the airframe.
        body: id of the body in the client.
        rotors: the rotors with their battery.
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
        """Place the vehicle level, without rotation, with rotors at hover speed and a full battery.

        Args:
            position: metres, world ENU, shape (3,).
            yaw: radians, 0 faces +x (east).
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
        """Apply the forces and torques of the next step; call it once before each step.

        Args:
            rotor_thrust_setpoints: N, clipped to the range of the rotors, (4,).
            wind: velocity of the air, m/s, world ENU, (3,).
            dt: length of the step, seconds.
        """
        rotors = self.rotors
        rotors.advance(rotor_thrust_setpoints, dt)
        # The signs follow `ROTOR_SIGNS`.
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
        """Set the mass to `factor` times the nominal mass; the moments of inertia stay."""
        pybullet.changeDynamics(
            self.body,
            -1,
            mass=factor * self.parameters.mass,
            localInertiaDiagonal=self._inertia,
            physicsClientId=self._client,
        )

    def observe(self, dt: float) -> Kinematics:
        """Read the true state after a step of `dt` seconds.

        The specific force is computed from the change of velocity, so it includes contact forces.
        The forces of a step act along the axes that the body had at its start, so it is turned
        into those: with the axes at the end of the step, the thrust of a body that rolls would
        read as a force to its side that grows with the rate and with the length of the step.
        """
        (ox, oy, oz), attitude = self._velocity, self._attitude
        self._read()
        vx, vy, vz = self._velocity
        force = ((vx - ox) / dt, (vy - oy) / dt, (vz - oz) / dt + GRAVITY)
        return Kinematics(
            self._position,
            self._quaternion,
            self._velocity,
            self._angular_velocity,
            rotate_back(attitude, force),
        )

    def _near_ground(self, thrusts: PerRotor) -> PerRotor:
        """Thrusts including ground effect, which depends on the height of each rotor."""
        if self._ground_effect == 0.0:
            return thrusts
        height, row, lever = self._position[2], self._attitude[2], self._lever
        forward, left = lever * row[0], lever * row[1]
        a, b, c, d = thrusts
        return (
            a * self._ground_factor(height + forward - left),
            b * self._ground_factor(height - forward + left),
            c * self._ground_factor(height + forward + left),
            d * self._ground_factor(height - forward - left),
        )

    def _ground_factor(self, height: float) -> float:
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
    """Thrust of a rotor near the ground divided by its thrust in free air, at the same power.

    It is 1 / (1 - factor (R / 4 z)^2), which with a factor of 1 is the formula of Cheeseman and
    Bennett (1955). They have no data below a height of half a radius; there the value at half a
    radius is used.

    Args:
        height: height z of the rotor above the ground, metres.
        radius: radius R of the rotor, metres.
        factor: in [0, 3]; above 1 for several rotors close together.
    """
    near = radius / (4 * max(height, radius / 2))
    return 1 / (1 - factor * near * near)


def with_mean_gyroscopic_torque(
    torque: Vector, angular_velocity: Vector, inertia: Vector, rotor_momentum: float, dt: float
) -> Vector:
    """Torque to apply so that the gyroscopic torque is the mean of both ends of the step.

    Bullet itself subtracts w x I w at the start of the step, and does not know the rotors' angular
    momentum along z. The trapezoidal rule is an implicit equation for the angular velocity at the
    end of the step; three fixed-point iterations leave an error of fourth order in the angle that
    the body turns in one step.

    Args:
        torque: all other torques, N m, body FLU.
        angular_velocity: at the start of the step, rad/s, body FLU.
        inertia: principal moments of inertia, kg m^2, body FLU.
        rotor_momentum: angular momentum of the rotors along the body's z axis, N m s.
        dt: length of the step, seconds.
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
    """Draw hull, two crossed arms and four rotor discs; the front discs are red."""
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
