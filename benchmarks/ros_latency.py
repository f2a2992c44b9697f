"""Message out to command back over DDS: the controller node beside a node that only answers.

A process of its own publishes 640x480 images at 30 Hz and IMU samples at 200 and 400 Hz to the
controller node with the shipped model, once with each executor of rclpy, and to a bare node that
answers every IMU sample and every image with an empty command: what the middleware takes alone.

    python benchmarks/ros_latency.py            # 20 s each
    python benchmarks/ros_latency.py --seconds 60

A command bears the instant at which the controller took up the message that it answers; messages
are taken to be answered in the order sent, none before it was sent. `own` is the controller's own
part as its diagnostics have it, from the callback's start to the command published.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np

IMAGE_RATE = 30
WARM_UP = 3.0
"""Seconds before the measurement: connections are made, TorchScript is warm."""

SERVERS = ("controller/single", "controller/events", "controller/multi", "echo/single")
PROFILES = Path(__file__).parents[1] / "config" / "fastdds.xml"


def serve(name: str) -> None:
    """Run a node that answers, in this process, until SIGTERM."""
    import rclpy
    from geometry_msgs.msg import TwistStamped
    from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.parameter import Parameter
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image, Imu

    from liquid_nav.ros.node import ControllerNode

    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    kind, executor_name = name.split("/")
    if kind == "controller":
        values = {"autostart": True, "use_camera_info": False, "minimum_rate": 1.0}
        overrides = [Parameter(key, value=value) for key, value in values.items()]
        node: Any = ControllerNode(parameter_overrides=overrides)
    else:
        node = Node("echo")
        answers = node.create_publisher(TwistStamped, "cmd_vel", 1)

        def answer(_: Any) -> None:
            command = TwistStamped()
            command.header.stamp = node.get_clock().now().to_msg()
            answers.publish(command)

        node.create_subscription(Imu, "imu", answer, qos_profile_sensor_data)
        node.create_subscription(Image, "camera/image_raw", answer, qos_profile_sensor_data)
    if executor_name == "events":
        from rclpy.experimental import EventsExecutor

        executor: Any = EventsExecutor()
    else:
        classes = {"single": SingleThreadedExecutor, "multi": MultiThreadedExecutor}
        executor = classes[executor_name]()
    executor.add_node(node)
    while not ended:
        executor.spin_once(timeout_sec=0.1)
    os._exit(0)


class Vehicle:
    """Publishes sensors on time and hears commands; times in ns of the system clock."""

    def __init__(self, imu_rate: int) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import TwistStamped
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import Image, Imu

        self.node = rclpy.create_node("vehicle")
        self.executor = rclpy.executors.SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.imus = self.node.create_publisher(Imu, "imu", qos_profile_sensor_data)
        self.images = self.node.create_publisher(Image, "camera/image_raw", qos_profile_sensor_data)
        self.sent: list[tuple[int, str]] = []
        self.heard: list[tuple[int, int]] = []
        self.own: dict[str, str] = {}
        self.node.create_subscription(TwistStamped, "cmd_vel", self.on_command, 1000)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_report, 10)
        self.imu_rate, self.rng = imu_rate, np.random.default_rng(0)
        self.imu = Imu()
        self.imu.linear_acceleration.z = 9.81
        self.image = Image(encoding="rgb8", width=640, height=480, step=1920)
        noise = self.rng.integers(0, 256, (8, 480 * 1920), dtype=np.uint8)
        self.pictures = [array("B", row.tobytes()) for row in noise]

    def on_command(self, message: Any) -> None:
        """Note when a command's message was taken up, and when it came."""
        stamp = message.header.stamp
        self.heard.append((stamp.sec * 10**9 + stamp.nanosec, time.time_ns()))

    def on_report(self, array: Any) -> None:
        """Keep the newest diagnostics."""
        for status in array.status:
            self.own.update({pair.key: pair.value for pair in status.values})

    def publish(self, channel: str) -> None:
        """Send one message, never the same twice."""
        if channel == "imu":
            message, publisher = self.imu, self.imus
            message.angular_velocity.x = float(self.rng.normal(0, 0.01))
        else:
            message, publisher = self.image, self.images
            message.data = self.pictures[len(self.sent) % len(self.pictures)]
        now = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        publisher.publish(message)
        self.sent.append((now, channel))

    def drive(self, seconds: float) -> None:
        """Publish for a time, each sample when it is due, and hear in between."""
        begin = time.perf_counter()
        due = {"imu": 0.0, "camera": 0.5 / IMAGE_RATE}
        period = {"imu": 1 / self.imu_rate, "camera": 1 / IMAGE_RATE}
        while (now := time.perf_counter() - begin) < seconds:
            channel = min(due, key=lambda name: due[name])
            if now >= due[channel]:
                self.publish(channel)
                due[channel] += period[channel]
            else:
                self.executor.spin_once(timeout_sec=min(due[channel] - now, 0.001))


def latencies(sent: list[tuple[int, str]], heard: list[tuple[int, int]]) -> dict[str, list[float]]:
    """Milliseconds from a message to its command, per channel."""
    found: dict[str, list[float]] = {"imu": [], "camera": []}
    waiting = iter(sent)
    message = next(waiting, None)
    for taken_up, back in sorted(heard):
        # A command that nothing waited for was the timer's.
        if message is not None and message[0] <= taken_up:
            found[message[1]].append((back - message[0]) / 1e6)
            message = next(waiting, None)
    return found


def cpu_seconds(process: int) -> float:
    """Processor time of a process and its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(server: str, imu_rate: int, seconds: float) -> dict[str, float | str]:
    """Figures of one server at one rate."""
    process = subprocess.Popen([sys.executable, __file__, "--serve", server])
    try:
        vehicle = Vehicle(imu_rate)
        deadline = time.monotonic() + 60
        while not vehicle.imus.get_subscription_count():
            vehicle.executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{server} did not come up")
        vehicle.drive(WARM_UP)
        vehicle.sent.clear()
        vehicle.heard.clear()
        used, begin = cpu_seconds(process.pid), time.perf_counter()
        vehicle.drive(seconds)
        cpu = (cpu_seconds(process.pid) - used) / (time.perf_counter() - begin)
        sent = list(vehicle.sent)
        ending = time.perf_counter() + 1.5
        while time.perf_counter() < ending:
            vehicle.executor.spin_once(timeout_sec=0.05)
        found = latencies(sent, vehicle.heard)
        vehicle.node.destroy_node()
    finally:
        process.terminate()
        process.wait()
    imu = np.array(found["imu"] or [np.nan])
    lost = len(sent) - len(found["imu"]) - len(found["camera"])
    return {
        "imu p50": float(np.percentile(imu, 50)),
        "p99": float(np.percentile(imu, 99)),
        "max": float(imu.max()),
        "camera p50": float(np.median(found["camera"] or [np.nan])),
        "unanswered": f"{max(lost, 0)}/{len(sent)}",
        "cpu %": 100 * cpu,
        "own p50 us": vehicle.own.get("event_to_command_p50_us", "-"),
        "own p99 us": vehicle.own.get("event_to_command_p99_us", "-"),
    }


def main() -> None:
    """Measure every server at both rates, and print a table with ratios to the bare node."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILES))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["OMP_NUM_THREADS"] = "1"
    if options.serve:
        serve(options.serve)
    import rclpy

    rclpy.init()
    print(f"640x480 rgb8 at {IMAGE_RATE} Hz and IMU; milliseconds; {options.seconds:g} s each")
    for imu_rate in (200, 400):
        rows = {server: measure(server, imu_rate, options.seconds) for server in SERVERS}
        floor = rows["echo/single"]["imu p50"]
        print(f"\nIMU {imu_rate} Hz")
        for server, row in rows.items():
            figures = "  ".join(
                f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                for key, value in row.items()
            )
            print(f"{server:18} {figures}  p50 / echo {row['imu p50'] / floor:.1f}")


if __name__ == "__main__":
    main()
