"""Measure the time from a published message to the command that answers it, over DDS.

One process publishes IMU samples at 200 and 400 Hz and receives the commands, another publishes
640x480 images at 30 Hz. They are answered by the controller node with the shipped model, once with
each executor of rclpy, and by a bare node that answers every IMU sample and every image with an
empty command: that is the time that the middleware takes alone.

    python benchmarks/ros_latency.py            # 20 s each
    python benchmarks/ros_latency.py --seconds 60

A command carries the instant at which the controller received the message that it answers. The
latency of a sample is the time from its publication until the first command comes back that answers
a message received after it. Lost samples are those that the controller did not count. `own` is the
controller's part as its diagnostics report it, for IMU and images: the time from the start of the
callback until the command is published.
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
from numpy.typing import NDArray

IMAGE_RATE = 30
WARM_UP = 3.0
"""Seconds before the measurement, in which connections are made and caches warm up."""

SERVERS = (
    "controller/events",
    "controller/single",
    "controller/multi",
    "echo/events",
    "echo/single",
)
PROFILES = Path(__file__).parents[1] / "config" / "fastdds.xml"


def serve(name: str) -> None:
    """Run a node that answers messages, in this process, until SIGTERM."""
    import rclpy
    from geometry_msgs.msg import TwistStamped
    from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.parameter import Parameter
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image, Imu

    from liquid_nav.ros.controller.node import ControllerNode
    from liquid_nav.ros.process import keep_memory, settle

    keep_memory()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    kind, executor_name = name.split("/")
    if kind == "controller":
        values = {
            "autostart": True,
            "use_camera_info": False,
            "minimum_rate": 1.0,
            # No vehicle flies here: recordings of failsafes would be useless.
            "black_box.seconds": 0.0,
        }
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
    settle()
    while not ended:
        executor.spin_once(timeout_sec=0.1)
    os._exit(0)


def watch(seconds: float) -> None:
    """Publish images in this process for some seconds."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    # SIGTERM ends this process; rclpy would turn it into an exception while publishing.
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, "camera/image_raw", qos_profile_sensor_data)
    noise = np.random.default_rng(0).integers(0, 256, (8, 480 * 1920), dtype=np.uint8)
    pictures = [array("B", row.tobytes()) for row in noise]
    message = Image(encoding="rgb8", width=640, height=480, step=1920)
    begin = time.perf_counter()
    for index in range(round(seconds * IMAGE_RATE)):
        time.sleep(max(0.0, begin + index / IMAGE_RATE - time.perf_counter()))
        message.data = pictures[index % len(pictures)]
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)


class Vehicle:
    """Publishes IMU samples on time and receives commands; times are ns of the system clock."""

    def __init__(self, imu_rate: int) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import TwistStamped
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import Imu

        self.node = rclpy.create_node("vehicle")
        self.executor = rclpy.executors.SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.imus = self.node.create_publisher(Imu, "imu", qos_profile_sensor_data)
        self.sent: list[int] = []
        self.received: list[tuple[int, int]] = []
        self.status: dict[str, dict[str, str]] = {}
        self.node.create_subscription(TwistStamped, "cmd_vel", self.on_command, 1000)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_report, 10)
        self.imu_rate, self.rng = imu_rate, np.random.default_rng(0)
        self.imu = Imu()
        self.imu.linear_acceleration.z = 9.81

    def on_command(self, message: Any) -> None:
        """Note when the message that a command answers was received, and when the command came."""
        stamp = message.header.stamp
        self.received.append((stamp.sec * 10**9 + stamp.nanosec, time.time_ns()))

    def on_report(self, array: Any) -> None:
        """Keep the newest diagnostics."""
        for status in array.status:
            name = status.name.rpartition(": ")[2]
            self.status[name] = {pair.key: pair.value for pair in status.values}

    def accepted(self) -> int:
        """Give the number of samples that the controller has counted, from its diagnostics."""
        return int(self.status.get("imu", {}).get("accepted", 0))

    def publish(self) -> None:
        """Publish one sample; no two are equal."""
        self.imu.angular_velocity.x = float(self.rng.normal(0, 0.01))
        now = time.time_ns()
        self.imu.header.stamp.sec, self.imu.header.stamp.nanosec = divmod(now, 10**9)
        self.imus.publish(self.imu)
        self.sent.append(now)

    def drive(self, seconds: float) -> None:
        """Publish for some seconds, each sample when it is due, and receive in between."""
        begin, due = time.perf_counter(), 0.0
        while (now := time.perf_counter() - begin) < seconds:
            if now >= due:
                self.publish()
                due += 1 / self.imu_rate
            else:
                self.executor.spin_once(timeout_sec=min(due - now, 0.001))

    def listen(self, seconds: float) -> None:
        """Receive for some seconds."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.executor.spin_once(timeout_sec=0.05)


def latencies(sent: list[int], received: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Give the latency of each sample in milliseconds, see the top of this file."""
    taken_up, back = np.array(sorted(received)).T
    answer = np.searchsorted(taken_up, sent)
    found = answer < len(back)
    return (back[answer[found]] - np.array(sent)[found]) / 1e6


def cpu_seconds(process: int) -> float:
    """Give the processor time of a process and its threads, seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(server: str, imu_rate: int, seconds: float) -> dict[str, float | str]:
    """Measure one server at one rate."""
    serving = subprocess.Popen([sys.executable, __file__, "--serve", server])
    images = None
    try:
        vehicle = Vehicle(imu_rate)
        deadline = time.monotonic() + 60
        while not vehicle.imus.get_subscription_count():
            vehicle.executor.spin_once(timeout_sec=0.1)
            if time.monotonic() > deadline or serving.poll() is not None:
                raise SystemExit(f"{server} did not start")
        watching = str(WARM_UP + seconds + 3)
        images = subprocess.Popen([sys.executable, __file__, "--watch", watching])
        vehicle.drive(WARM_UP)
        # Wait for diagnostics: samples lost before all connections were made do not count.
        vehicle.listen(1.5)
        measured, accepted = len(vehicle.sent), vehicle.accepted()
        used, begin = cpu_seconds(serving.pid), time.perf_counter()
        vehicle.drive(seconds)
        cpu = (cpu_seconds(serving.pid) - used) / (time.perf_counter() - begin)
        vehicle.listen(1.5)
        imu = latencies(vehicle.sent[measured:], vehicle.received)
        sent = len(vehicle.sent) - measured
        lost = str(sent - vehicle.accepted() + accepted) if vehicle.status else "-"
        vehicle.node.destroy_node()
    finally:
        for process in filter(None, (images, serving)):
            process.terminate()
            process.wait()
    own = vehicle.status.get("controller", {})
    return {
        "p50": float(np.percentile(imu, 50)),
        "p99": float(np.percentile(imu, 99)),
        "max": float(imu.max()),
        "lost": f"{lost}/{sent}",
        "cpu %": 100 * cpu,
        "own p50 us": own.get("event_to_command_p50_us", "-"),
        "own p99 us": own.get("event_to_command_p99_us", "-"),
    }


def main() -> None:
    """Measure servers at all rates and print them, with ratios to the bare node."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rates", type=int, nargs="+", default=[200, 400], help="IMU rates, Hz")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=SERVERS)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--watch", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(PROFILES))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["OMP_NUM_THREADS"] = "1"
    if options.serve:
        serve(options.serve)
    if options.watch:
        return watch(options.watch)
    import rclpy

    rclpy.init()
    print(f"640x480 rgb8 at {IMAGE_RATE} Hz and IMU; latencies in ms; {options.seconds:g} s each")
    for imu_rate in options.rates:
        rows = {server: measure(server, imu_rate, options.seconds) for server in options.servers}
        print(f"\nIMU {imu_rate} Hz")
        for server, row in rows.items():
            figures = "  ".join(
                f"{key} {value:.2f}" if isinstance(value, float) else f"{key} {value}"
                for key, value in row.items()
            )
            floor = rows.get(f"echo/{server.partition('/')[2]}")
            if floor not in (None, row):
                ratios = (f"{name} {row[name] / floor[name]:.1f}" for name in ("p50", "p99"))
                figures += f"  times that of echo: {', '.join(ratios)}"
            print(f"{server:18} {figures}")


if __name__ == "__main__":
    main()
