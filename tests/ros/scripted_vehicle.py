"""A vehicle that something else flies: its process takes off, and then follows cmd_vel with a lag.

It has an IMU, tells its pose on odom, and has no camera. It publishes /clock, and its time stands
still for as long as the controller and the camera need, so that the flight is the same on a busy
machine.
"""

import math
import time

import numpy as np
import rclpy
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu

from liquid_nav.events import SECOND, ImuSample
from liquid_nav.events import Odometry as OdometryEvent
from liquid_nav.messages.decode import stamp_of
from liquid_nav.messages.fields import fill
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.messages.odometry import OdometryMessage
from liquid_nav.rotations import from_matrix

STEP = SECOND // 100
LAG = 0.3
"""Seconds in which it comes 63 % nearer to the commanded velocity."""
GRAVITY = 9.81
CRUISE, CLIMB = 1.4, 0.8
"""Metres of height at which it follows commands, and m/s of its own ascent."""
OLDEST_FRAME = SECOND // 4
LONGEST_WAIT = 2.0
"""Wall-clock s; a tenth of it before the first command and the first frame."""


class ScriptedVehicle(Node):
    """Stands at (3, -2), facing north-west, and takes off by itself."""

    def __init__(self) -> None:
        super().__init__("scripted_vehicle")
        reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10)
        self._odometry = self.create_publisher(Odometry, "odom", reliable)
        self._imu = self.create_publisher(Imu, "imu", reliable)
        self.create_subscription(TwistStamped, "cmd_vel", self._on_command, reliable)
        self.create_subscription(Image, "camera/image_raw", self._on_image, reliable)
        self.now, self.answered, self.seen = 100 * SECOND, 0, 0
        self._command = (0.0, 0.0, 0.0, 0.0)
        self._position = np.array([3.0, -2.0, 0.1])
        self._velocity, self._yaw = np.zeros(3), 3 * math.pi / 4
        self._rng = np.random.default_rng(0)
        self._in_charge = False

    def _on_command(self, message: TwistStamped) -> None:
        linear = message.twist.linear
        self.answered = stamp_of(message.header.stamp)
        self._command = (linear.x, linear.y, linear.z, message.twist.angular.z)

    def _on_image(self, message: Image) -> None:
        self.seen = stamp_of(message.header.stamp)

    def is_awaited(self) -> bool:
        """Whether the controller, or the camera after its first frame, is behind."""
        behind = bool(self.seen) and self.now - self.seen > OLDEST_FRAME
        return behind or self.answered < self.now

    def step(self) -> None:
        """Fly one step, and tell IMU and pose."""
        self._in_charge |= bool(self.answered and self._position[2] >= CRUISE)
        vx, vy, vz, yaw_rate = self._command if self._in_charge else (0.0, 0.0, 0.0, 0.0)
        if not self._in_charge:
            vz = CLIMB if self.answered and self.seen and self._position[2] < CRUISE else 0.0
        dt = STEP / SECOND
        c, s = math.cos(self._yaw), math.sin(self._yaw)
        wanted = np.array([c * vx - s * vy, s * vx + c * vy, vz])
        acceleration = (wanted - self._velocity) / LAG
        self._velocity = self._velocity + dt * acceleration
        self._position = self._position + dt * self._velocity
        self._yaw += dt * yaw_rate
        self.now += STEP
        # It tilts so that the thrust along its z axis gives the acceleration.
        force = acceleration + np.array([0.0, 0.0, GRAVITY])
        up = force / np.linalg.norm(force)
        left = np.cross(up, [math.cos(self._yaw), math.sin(self._yaw), 0.0])
        left /= np.linalg.norm(left)
        attitude = np.column_stack([np.cross(left, up), left, up])
        rates = np.array([0.0, 0.0, yaw_rate]) + 0.005 * self._rng.standard_normal(3)
        felt = attitude.T @ force + 0.02 * self._rng.standard_normal(3)
        self.tell_time()
        pose = OdometryEvent(
            self.now,
            self.now,
            self._position,
            np.array(from_matrix(attitude)),
            attitude.T @ self._velocity,
            rates,
        )
        self._odometry.publish(fill(Odometry(), OdometryMessage().encode(pose)))
        sample = ImuSample(self.now, self.now, rates, felt)
        self._imu.publish(fill(Imu(), ImuMessage().encode(sample)))

    def tell_time(self) -> None:
        """Publish /clock."""
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(self.now, SECOND)
        self._clock_publisher.publish(message)


def main() -> None:
    """Fly until the process is ended."""
    rclpy.init()
    vehicle, executor = ScriptedVehicle(), SingleThreadedExecutor()
    executor.add_node(vehicle)
    while True:
        vehicle.step()
        waited = time.monotonic()
        longest = LONGEST_WAIT if vehicle.answered and vehicle.seen else LONGEST_WAIT / 10
        while vehicle.is_awaited() and time.monotonic() - waited < longest:
            executor.spin_once(timeout_sec=0.05)
        vehicle.tell_time()


if __name__ == "__main__":
    main()
