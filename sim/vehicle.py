"""A quadrotor as one rigid body in PyBullet: rotors with lag, air drag, exact gyroscopic torque."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pybullet
from numpy.typing import NDArray

from liquid_nav_sim.errors import SimulationError
from liquid_nav_sim.rotation import Matrix, Vector, cross, rotate_back, rotation_matrix
from liquid_nav_sim.state import GRAVITY, VehicleState

ROTOR_SIGNS = ((1, -1, 1), (-1, 1, 1), (1, 1, -1), (-1, -1, -1))
"""Per rotor the signs of x and y, body FLU, and the spin, +1 counter-clockwise seen from above.

Front right, rear left, front left, rear right: the order of PX4's quad X.
"""


@dataclass(frozen=True)
class VehicleParameters:
    """A quadrotor in X configuration, its rotors in the plane of the centre of mass.

    Attributes:
        mass: kg.
        inertia: principal moments about the centre of mass, kg m^2, body FLU, (3,).
        arm_length: centre of mass to rotor axis, metres.
        thrust_to_weight: full thrust of all rotors over the weight.
        drag_torque_ratio: torque about its axis that a rotor feels from the air, per thrust,
            metres.
        motor_time_constant: of the first-order lag from thrust setpoint to thrust, seconds.
        drag: air drag per airspeed along each body axis, N s/m, (3,). It is linear, as the drag
            of rotors is at the few m/s flown here (Faessler et al., RA-L 2018).
        collision_radius, collision_height: of the upright cylinder that touches things, metres.

    Raises:
        SimulationError: on a field out of its range.
    """

    mass: float
    inertia: Vector
    arm_length: float
    thrust_to_weight: float
    drag_torque_ratio: float
    motor_time_constant: float
    drag: Vector
    collision_radius: float
    collision_height: float

    def __post_init__(self) -> None:
        for name, low, high in (
            ("mass", 0.01, 100.0),
            ("arm_length", 0.01, 5.0),
            ("thrust_to_weight", 1.5, 20.0),
            ("drag_torque_ratio", 0.001, 1.0),
            ("motor_time_constant", 0.001, 1.0),
            ("collision_radius", 0.01, 5.0),
            ("collision_height", 0.01, 5.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(
                    f"VehicleParameters.{name} must be in [{low:g}, {high:g}], got {value!r}"
                )
        if len(self.inertia) != 3 or not all(0 < i < math.inf for i in self.inertia):
            raise SimulationError(
                "VehicleParameters.inertia must be three positive finite moments, "
                f"got {self.inertia!r}"
            )
        if 2 * max(self.inertia) > sum(self.inertia):
            raise SimulationError(
                "VehicleParameters.inertia must have no moment above the sum of the other two, "
                f"or no body has it, got {self.inertia!r}"
            )
        if len(self.drag) != 3 or not all(0 <= d < math.inf for d in self.drag):
            raise SimulationError(
                f"VehicleParameters.drag must be three finite numbers from 0 up, got {self.drag!r}"
            )

    @property
    def hover_thrust(self) -> float:
        """Thrust of one rotor that carries a quarter of the weight, N."""
        return self.mass * GRAVITY / 4

    @property
    def max_thrust(self) -> float:
        """Full thrust of one rotor, N."""
        return self.thrust_to_weight * self.hover_thrust

    @property
    def lever(self) -> float:
        """Distance of each rotor axis from the body's x axis, and from its y axis, metres."""
        return self.arm_length / math.sqrt(2)


QUAD_250 = VehicleParameters(
    mass=0.6,
    inertia=(2.2e-3, 2.6e-3, 4.0e-3),
    arm_length=0.125,
    thrust_to_weight=3.0,
    drag_torque_ratio=0.014,
    motor_time_constant=0.03,
    drag=(0.15, 0.15, 0.2),
    collision_radius=0.18,
    collision_height=0.08,
)
"""A small quadrotor, 0.25 m from rotor to rotor across the diagonal, with 5 inch propellers."""


class Vehicle:
    """One quadrotor in a PyBullet client.

    A step is `apply`, `pybullet.stepSimulation`, `observe`; gravity and step time are the caller's.
    Bullet takes its gyroscopic torque at the start of the step, which feeds energy to a tumbling
    body: 3.7 % in 10 s at 7 rad/s and 2.5 ms steps. `apply` turns it into the mean of both ends of
    the step, which keeps energy and angular momentum: there both stay within 0.001 %, at 20 rad/s
    within 0.01 %, and neither drifts. As in every Bullet body, velocities are half a step behind
    poses (leapfrog).

    Left out: the rotors' own angular momentum, blade flapping, ground effect.

    Args:
        client: PyBullet client to make the body in.
        parameters: the airframe.

    Attributes:
        body: id of the body in the client.
        rotor_thrusts: what the rotors give at this instant, N, in the order of `ROTOR_SIGNS`, (4,).
    """

    def __init__(self, client: int, parameters: VehicleParameters = QUAD_250) -> None:
        self.parameters = parameters
        self._client = client
        self.body = _create_body(client, parameters)
        self.reset((0.0, 0.0, 0.0), 0.0)

    def reset(
        self,
        position: Sequence[float] | NDArray[np.float64],
        yaw: float,
        linear_velocity: Sequence[float] | NDArray[np.float64] = (0.0, 0.0, 0.0),
    ) -> None:
        """Place the vehicle level, not turning, with its rotors at hover thrust.

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
        self.rotor_thrusts = [self.parameters.hover_thrust] * 4
        self._read()

    def apply(
        self,
        rotor_thrust_setpoints: Sequence[float] | NDArray[np.float64],
        wind: Sequence[float] | NDArray[np.float64],
        dt: float,
    ) -> None:
        """Put thrust and drag of the coming step on the body; call once before each step.

        The motors follow their exact exponential, and the body feels its mean over the step.

        Args:
            rotor_thrust_setpoints: N, clipped to what a rotor can give, shape (4,).
            wind: velocity of the air, m/s, world ENU, shape (3,).
            dt: length of the step, seconds.
        """
        p, full = self.parameters, self.parameters.max_thrust
        thrust = roll = pitch = yaw = 0.0
        remaining = math.exp(-dt / p.motor_time_constant)
        mean = (1 - remaining) * p.motor_time_constant / dt
        for rotor, (x, y, spin) in enumerate(ROTOR_SIGNS):
            setpoint = min(max(float(rotor_thrust_setpoints[rotor]), 0.0), full)
            deviation = self.rotor_thrusts[rotor] - setpoint
            self.rotor_thrusts[rotor] = setpoint + deviation * remaining
            force = setpoint + deviation * mean
            thrust += force
            roll += y * force
            pitch -= x * force
            # The air turns a rotor, and with it the body, against its spin.
            yaw -= spin * force
        torque = (p.lever * roll, p.lever * pitch, p.drag_torque_ratio * yaw)
        (vx, vy, vz), (ux, uy, uz) = self._velocity, wind
        ax, ay, az = rotate_back(self._attitude, (vx - ux, vy - uy, vz - uz))
        dx, dy, dz = p.drag
        pybullet.applyExternalForce(
            self.body,
            -1,
            (-dx * ax, -dy * ay, thrust - dz * az),
            (0.0, 0.0, 0.0),
            pybullet.LINK_FRAME,
            physicsClientId=self._client,
        )
        pybullet.applyExternalTorque(
            self.body,
            -1,
            _with_mean_gyroscopic_torque(torque, self._angular_velocity, p.inertia, dt),
            pybullet.LINK_FRAME,
            physicsClientId=self._client,
        )

    def observe(self, dt: float) -> VehicleState:
        """Read the true state after a step of `dt` seconds.

        The specific force comes from the change of velocity, so it contains contact forces.
        """
        ox, oy, oz = self._velocity
        self._read()
        vx, vy, vz = self._velocity
        force = ((vx - ox) / dt, (vy - oy) / dt, (vz - oz) / dt + GRAVITY)
        return VehicleState(
            position=np.array(self._position),
            orientation=np.array(self._quaternion),
            linear_velocity=np.array(self._velocity),
            angular_velocity=np.array(self._angular_velocity),
            specific_force=np.array(rotate_back(self._attitude, force)),
        )

    def _read(self) -> None:
        self._position, self._quaternion = pybullet.getBasePositionAndOrientation(
            self.body, physicsClientId=self._client
        )
        self._velocity: Vector
        self._velocity, spin = pybullet.getBaseVelocity(self.body, physicsClientId=self._client)
        self._attitude: Matrix = rotation_matrix(self._quaternion)
        self._angular_velocity: Vector = rotate_back(self._attitude, spin)


def _with_mean_gyroscopic_torque(
    torque: Vector, angular_velocity: Vector, inertia: Vector, dt: float
) -> Vector:
    """Torque for Bullet so that the gyroscopic torque acts as the mean of both ends of the step.

    Bullet itself subtracts w x I w of the start. The end solves the trapezoidal rule; a step turns
    the body by a small angle, of which three fixed-point rounds leave an error of fourth order.
    """
    (tx, ty, tz), (wx, wy, wz), (ix, iy, iz) = torque, angular_velocity, inertia
    gx, gy, gz = gyroscopic = cross(angular_velocity, (ix * wx, iy * wy, iz * wz))
    half = dt / 2
    for _ in range(3):
        ex, ey, ez = (
            wx + half * (2 * tx - gx - gyroscopic[0]) / ix,
            wy + half * (2 * ty - gy - gyroscopic[1]) / iy,
            wz + half * (2 * tz - gz - gyroscopic[2]) / iz,
        )
        gyroscopic = cross((ex, ey, ez), (ix * ex, iy * ey, iz * ez))
    return (
        tx + (gx - gyroscopic[0]) / 2,
        ty + (gy - gyroscopic[1]) / 2,
        tz + (gz - gyroscopic[2]) / 2,
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
