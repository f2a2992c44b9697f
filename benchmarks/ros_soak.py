"""Fly a controller for long under sensors of full rate: its memory, and the fate of each message.

A process publishes IMU samples at 400 Hz and images of 640x480 at 60 Hz, and the controller node
with the shipped model answers. Every tenth of the time one line tells the resident memory of the
controller and how many messages it accepted, rejected, lost and dropped. The exit status is 1 if a
message is in none of these counts, or if the memory grew by more than 5 % in the second half of the
time, when caches and the black box are full.

    python benchmarks/ros_soak.py               # 10 minutes
    python benchmarks/ros_soak.py --seconds 60 --imu 1000 --burst 200
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FATES = ("accepted", "rejected", "lost", "dropped")


def resident(process: int) -> float:
    """Give the resident memory of a process, megabytes."""
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize() / 1e6


class Reports:
    """Reads the controller's diagnostics."""

    def __init__(self) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray

        rclpy.init(args=[])
        self.node = rclpy.create_node("reports")
        self.values: dict[str, dict[str, str]] = {}
        self.count = 0
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_report, 10)

    def on_report(self, array: Any) -> None:
        """Keep the newest values."""
        self.count += 1
        for status in array.status:
            name = status.name.rpartition(": ")[2]
            self.values[name] = {pair.key: pair.value for pair in status.values}

    def listen(self, seconds: float, until: Any = lambda: False) -> None:
        """Receive for some seconds, or until something is so."""
        import rclpy

        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            rclpy.spin_once(self.node, timeout_sec=0.2)

    def fates(self, channel: str) -> dict[str, int]:
        """Give the number of messages of a channel by what became of them."""
        values = self.values.get(channel, {})
        return {fate: int(values.get(fate, 0)) for fate in FATES}


def fly(options: argparse.Namespace, controller: int, publisher: Any) -> bool:
    """Report until the publisher ends; return whether all was accounted for in flat memory."""
    reports, begin, memory = Reports(), time.monotonic(), []
    while publisher.poll() is None:
        reports.listen(options.seconds / 10, lambda: publisher.poll() is not None)
        memory.append(resident(controller))
        counts = {channel: reports.fates(channel) for channel in ("imu", "camera")}
        print(f"{time.monotonic() - begin:5.0f} s  {memory[-1]:6.1f} MB  {counts}", flush=True)
    sent = json.loads(publisher.stdout.read().splitlines()[-1])

    def whole() -> bool:
        return all(sum(reports.fates(channel).values()) == sent[channel] for channel in sent)

    reports.listen(10, whole)
    for channel, number in sent.items():
        fates = reports.fates(channel)
        print(f"{channel}: sent {number}, {fates}, uncounted {number - sum(fates.values())}")
    settled, largest = memory[len(memory) // 2], max(memory[len(memory) // 2 :])
    print(f"memory: {settled:.1f} MB after half of the time, {largest:.1f} MB at most later")
    return whole() and largest <= 1.05 * settled


def main() -> int:
    """Run the processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--imu", type=float, default=400.0, help="samples per second")
    parser.add_argument("--burst", type=int, default=1, help="samples sent at once")
    parser.add_argument("--camera", type=float, default=60.0, help="images per second")
    options = parser.parse_args()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds.xml"))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        values = {
            "autostart": "true",
            "use_camera_info": "false",
            "minimum_rate": 20.0,
            "black_box.folder": folder,
            "black_box.seconds": options.seconds / 10,
        }
        pairs = [word for key, value in values.items() for word in ("-p", f"{key}:={value}")]
        code = "from liquid_nav.ros.executables import controller; controller()"
        controller = subprocess.Popen([sys.executable, "-c", code, "--ros-args", *pairs])
        flood = [f"--{name}={getattr(options, name)}" for name in ("imu", "burst", "camera")]
        flood += ["--width=640", "--height=480", f"--seconds={options.seconds}"]
        publisher = subprocess.Popen(
            [sys.executable, "-m", "ros.flood", *flood],
            cwd=ROOT / "tests",
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            fine = fly(options, controller.pid, publisher)
        finally:
            for process in (publisher, controller):
                process.terminate()
                process.wait(20)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
