"""Measure what a vehicle is told when something dies, for each back-end, at random instants.

A scripted vehicle (a point mass with a lag of 0.3 s that faces east) publishes IMU, images and
odometry over DDS and follows the setpoints of the back-end; the controller flies it with the
shipped model, and the supervisor watches, each in a process of its own. At random instants of the
flight one of these happens:

    kill        the controller gets SIGKILL
    stall       the controller gets SIGSTOP
    camera      the images stop
    imu         the IMU stops
    stop        the operator calls the service
    supervisor  the supervisor gets SIGKILL, and the controller is alone
    nothing     nothing happens, to compare with the line above

For each the time from that instant to the first setpoint at rest, as p50, p99 and largest of the N
instants, and the way of the vehicle within 1.5 s. For the last two, after which the flight goes on,
it is the longest time between two setpoints in the second that follows. For PX4 also the time after
which its proof of life stays away, at which COM_OF_LOSS_T begins; PX4 takes over after that, so
that no setpoint at rest has to come later. A back-end whose
messages are not installed is left out; those of PX4 and of the Crazyflie come from `liquid-nav
messages build PATH --out DIR`, with DIR in PYTHONPATH.

    python benchmarks/ros_losses.py                          # 20 instants each
    python benchmarks/ros_losses.py --instants 1000 --backends px4 --cases stop camera
    python benchmarks/ros_losses.py --timeout 0.15 --cases kill stall
"""

import argparse
import importlib.util
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CASES = ("kill", "stall", "camera", "imu", "stop", "supervisor", "nothing")
TIMEOUT = 10.0
"""s that a setpoint at rest is waited for; far beyond every limit."""

LOSS_TIMEOUT = 1.0
"""s, COM_OF_LOSS_T of PX4."""

SPEED = 0.3
"""m/s that a setpoint must ask for, at least, before something happens."""

WAY_WINDOW = 1.5
"""s after the instant within which the way is measured."""

LAG = 0.3
RATES = {"imu": 200.0, "camera": 30.0, "odometry": 50.0}
PROFILES = Path(__file__).parents[1] / "config" / "fastdds.xml"

Velocity = tuple[float, float, float, float]


def of_twist(message: Any) -> Velocity:
    """East, north, up in m/s and yaw rate of a TwistStamped to a vehicle that faces east."""
    linear, angular = message.twist.linear, message.twist.angular
    return (linear.x, linear.y, linear.z, angular.z)


def of_px4(message: Any) -> Velocity:
    """As `of_twist`, of a TrajectorySetpoint."""
    north, east, down = map(float, message.velocity)
    return (east, north, -down, -float(message.yawspeed))


def of_hover(message: Any) -> Velocity:
    """As `of_twist`, of a Crazyflie's Hover, whose height is held."""
    return (message.vx, message.vy, 0.0, message.yaw_rate)


TWIST = "geometry_msgs/msg/TwistStamped"
SETPOINTS: dict[str, tuple[str, str, Callable[[Any], Velocity]]] = {
    "twist": ("cmd_vel", TWIST, of_twist),
    "mavros": ("/mavros/setpoint_velocity/cmd_vel", TWIST, of_twist),
    "ardupilot": ("/ap/cmd_vel", TWIST, of_twist),
    "px4": ("/fmu/in/trajectory_setpoint", "px4_msgs/msg/TrajectorySetpoint", of_px4),
    "crazyswarm2": ("/cf1/cmd_hover", "crazyflie_interfaces/msg/Hover", of_hover),
}


class Vehicle:
    """The scripted vehicle, and what it was told: (time, velocity), s on the steady clock."""

    def __init__(self, backend: str) -> None:
        import rclpy
        from nav_msgs.msg import Odometry
        from rclpy.experimental import EventsExecutor
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import Image, Imu
        from std_srvs.srv import SetBool

        from liquid_nav.ros.backends.messages import message_class

        self.node = rclpy.create_node("vehicle")
        self.executor = EventsExecutor()
        self.executor.add_node(self.node)
        topic, kind, read = SETPOINTS[backend]
        self.told: list[tuple[float, Velocity]] = []
        self.proofs: list[float] = []
        self.node.create_subscription(
            message_class(kind),
            topic,
            lambda message: self.told.append((time.monotonic(), read(message))),
            100,
        )
        if backend == "px4":
            self.node.create_subscription(
                message_class("px4_msgs/msg/OffboardControlMode"),
                "/fmu/in/offboard_control_mode",
                lambda _: self.proofs.append(time.monotonic()),
                100,
            )
        self.stops = self.node.create_client(SetBool, "liquid_nav_node/stop")
        qos = qos_profile_sensor_data
        self.imu = self.node.create_publisher(Imu, "imu", qos)
        self.image = self.node.create_publisher(Image, "camera/image_raw", qos)
        self.odometry = self.node.create_publisher(Odometry, "odometry", qos)
        noise = np.random.default_rng(0).integers(0, 256, (8, 48 * 64 * 3), dtype=np.uint8)
        self.pictures = [array("B", row.tobytes()) for row in noise]
        self.messages = {
            "imu": Imu(),
            "camera": Image(encoding="rgb8", width=64, height=48, step=192),
            "odometry": Odometry(),
        }
        self.messages["odometry"].pose.pose.orientation.w = 1.0
        self.silent: set[str] = set()
        self.position, self.velocity = np.zeros(3), np.zeros(3)
        self.ended = False
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def live(self) -> None:
        """Fly and publish in real time until the end."""
        begin = before = time.monotonic()
        sent = dict.fromkeys(RATES, 0)
        while not self.ended:
            time.sleep(0.002)
            now = time.monotonic()
            setpoint = np.array(self.told[-1][1][:3]) if self.told else np.zeros(3)
            self.velocity += (setpoint - self.velocity) * min(1.0, (now - before) / LAG)
            self.position += self.velocity * (now - before)
            before = now
            for name, rate in RATES.items():
                if (now - begin) * rate >= sent[name]:
                    sent[name] = math.floor((now - begin) * rate) + 1
                    if name not in self.silent:
                        self.publish(name, sent[name])

    def publish(self, name: str, count: int) -> None:
        """Publish one measurement; no two are alike."""
        message, noise = self.messages[name], count % 7 * 1e-3
        message.header.stamp = self.node.get_clock().now().to_msg()
        if name == "imu":
            turned, felt = message.angular_velocity, message.linear_acceleration
            turned.x, turned.y, turned.z = noise, -noise, noise
            felt.x, felt.y, felt.z = noise, noise, 9.81 + noise
            self.imu.publish(message)
        elif name == "camera":
            message.data = self.pictures[count % len(self.pictures)]
            self.image.publish(message)
        else:
            place, speed = message.pose.pose.position, message.twist.twist.linear
            place.x, place.y, place.z = map(float, self.position)
            speed.x, speed.y, speed.z = map(float, self.velocity)
            self.odometry.publish(message)

    def until(self, predicate: Callable[[], object], timeout: float = TIMEOUT) -> bool:
        """Spin until something is so; return whether it was within `timeout` s."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.005)
        return True

    def wait(self, seconds: float) -> None:
        """Spin for some time."""
        self.until(lambda: False, seconds)

    def flies(self, since: float) -> bool:
        """Whether a setpoint that came after `since` moves the vehicle at a fair speed."""
        if not self.told or self.told[-1][0] <= since:
            return False
        return float(np.linalg.norm(self.told[-1][1][:3])) > SPEED

    def stop(self, engaged: bool) -> None:
        """Call the operator's stop and do not wait for the answer."""
        from std_srvs.srv import SetBool

        self.stops.call_async(SetBool.Request(data=engaged))


def takeover(proofs: list[float], at: float) -> float:
    """Seconds from `at` until PX4 takes over, by the times of all proofs of life; or infinite."""
    recent = [at, *(t for t in proofs if t > at), time.monotonic()]
    for last, following in itertools.pairwise(recent):
        if following - last > LOSS_TIMEOUT:
            return last + LOSS_TIMEOUT - at
    return math.inf


def at_rest(velocity: Velocity) -> bool:
    """Whether a setpoint asks for no motion."""
    return all(abs(value) < 1e-6 for value in velocity)


def start(name: str, backend: str, timeout: float) -> subprocess.Popen[bytes]:
    """Start the controller or the supervisor, which has a timeout, s."""
    values = {"backend": backend}
    if name == "supervisor":
        values["timeout"] = str(timeout)
    if name == "controller":
        values |= {
            "autostart": "true",
            "use_camera_info": "false",
            "mavros.verify": "false",
            "black_box.seconds": "0.0",
        }
    pairs = [part for key, value in values.items() for part in ("-p", f"{key}:={value}")]
    code = f"from liquid_nav.ros.executables import {name}; {name}()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--ros-args", "--log-level", "fatal", *pairs],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )


class Rig:
    """The vehicle with its controller and supervisor, and the instants of one back-end."""

    def __init__(self, backend: str, rng: random.Random, timeout: float) -> None:
        self.backend, self.rng, self.vehicle = backend, rng, Vehicle(backend)
        self.timeout = timeout
        names = ("supervisor", "controller")
        self.processes = {name: start(name, backend, timeout) for name in names}

    def fly(self) -> None:
        """Bring the flight back and go on for a random time."""
        vehicle, since = self.vehicle, time.monotonic()
        vehicle.silent.clear()
        for name, process in self.processes.items():
            process.send_signal(signal.SIGCONT)
            if process.poll() is not None:
                self.processes[name] = start(name, self.backend, self.timeout)
        deadline = time.monotonic() + 120
        while not vehicle.until(lambda: vehicle.flies(since), 1.0):
            vehicle.stop(False)  # Releases a vehicle that its autopilot took over, too.
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.backend}: no flight within 120 s")
        vehicle.wait(self.rng.uniform(0.4, 0.9))
        # Not at an instant at which a failsafe has just begun, on a busy machine.
        vehicle.until(lambda: vehicle.flies(time.monotonic() - 0.1))

    def disturb(self, case: str) -> None:
        """Let it happen."""
        if case in ("camera", "imu"):
            self.vehicle.silent.add(case)
        elif case == "stop":
            self.vehicle.stop(True)
        elif case != "nothing":
            name = "supervisor" if case == "supervisor" else "controller"
            number = signal.SIGSTOP if case == "stall" else signal.SIGKILL
            self.processes[name].send_signal(number)
            if number == signal.SIGKILL:
                self.processes[name].wait()

    def instant(self, case: str) -> dict[str, float]:
        """Measure one instant; times in s, the way in m."""
        self.fly()
        vehicle = self.vehicle
        place, at = vehicle.position.copy(), time.monotonic()
        self.disturb(case)
        if case in ("supervisor", "nothing"):
            vehicle.wait(1.0)
            times = [at, *(t for t, _ in vehicle.told if t > at), time.monotonic()]
            return {"time": max(b - a for a, b in itertools.pairwise(times))}
        vehicle.until(lambda: any(t > at and at_rest(v) for t, v in vehicle.told[-50:]), TIMEOUT)
        rests = [t - at for t, v in vehicle.told if t > at and at_rest(v)]
        vehicle.wait(at + WAY_WINDOW - time.monotonic())
        result = {"way": float(np.linalg.norm(vehicle.position - place))}
        if self.backend == "px4" and case != "stop":
            result["proof"] = max([0.0, *(t - at for t in vehicle.proofs[-1:])])
        if self.backend in ("px4", "mavros"):
            # A busy machine may keep us silent for so long that the autopilot takes over.
            rests.append(takeover(vehicle.proofs or [t for t, _ in vehicle.told], at))
        result["time"] = min(rests, default=math.inf)
        return result

    def close(self) -> None:
        """End all."""
        self.vehicle.ended = True
        self.vehicle.thread.join()
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.vehicle.node.destroy_node()


def summary(values: list[float], scale: float) -> str:
    """p50, p99 and the largest, as columns."""
    p50, p99 = np.percentile(values, [50, 99], method="higher")
    return f"{scale * p50:.3g} | {scale * p99:.3g} | {scale * max(values):.3g}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instants", type=int, default=20, help="of each case")
    parser.add_argument("--backends", nargs="+", default=list(SETPOINTS), choices=SETPOINTS)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--timeout", type=float, default=0.3, help="of the supervisor, s")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILES))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    import rclpy

    rclpy.init(args=[])
    rng = random.Random(options.seed)
    print("| back-end | case | N | p50 ms | p99 ms | max ms | way m, max | proof ends ms, max |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for backend in options.backends:
        if importlib.util.find_spec(SETPOINTS[backend][1].partition("/")[0]) is None:
            continue
        rig = Rig(backend, rng, options.timeout)
        try:
            for case in options.cases:
                found = [rig.instant(case) for _ in range(options.instants)]
                way, proof = (
                    f"{scale * max(values):.3g}"
                    if (values := [f[k] for f in found if k in f])
                    else ""
                    for k, scale in (("way", 1), ("proof", 1000))
                )
                times = summary([f["time"] for f in found], 1000)
                print(
                    f"| {backend} | {case} | {len(found)} | {times} | {way} | {proof} |", flush=True
                )
        finally:
            rig.close()


if __name__ == "__main__":
    main()
