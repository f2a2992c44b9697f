"""Publishes measurements as fast as they are asked for, as a process: ``python -m ros.flood``.

The first line on standard output says that all publishers are matched; the last one, after SIGTERM
or the end of the time, how many messages of each kind were sent.
"""

import argparse
import json
import signal
import sys
import time
from array import array
from typing import Any

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, Imu


class Stream:
    """One publisher that sends `burst` messages at once, `rate` messages a second on average."""

    def __init__(self, publisher: Any, message: Any, rate: float, burst: int) -> None:
        self.publisher, self.message, self.rate, self.burst = publisher, message, rate, burst
        self.sent = 0

    def due(self) -> float:
        """When the next burst is due, s after the beginning."""
        return (self.sent + self.burst - 1) / self.rate if self.rate else float("inf")

    def send(self, change: Any, count: int) -> None:
        """Send some messages; their stamps are spread over the time since the last ones."""
        now = time.time_ns()
        for before in range(count - 1, -1, -1):
            change(self.message, self.sent)
            stamp = now - round(before / self.rate * 1e9)
            self.message.header.stamp.sec, self.message.header.stamp.nanosec = divmod(stamp, 10**9)
            self.publisher.publish(self.message)
            self.sent += 1


def vary_imu(message: Any, index: int) -> None:
    """No two samples are alike, or they would count as frozen."""
    turned, felt, noise = message.angular_velocity, message.linear_acceleration, index % 7 * 1e-3
    turned.x, turned.y, turned.z = 0.1 + noise, noise, noise
    felt.x, felt.y, felt.z = noise, noise, 9.81 + noise


def vary_image(pictures: list[array]) -> Any:
    """Show the pictures in turn."""

    def change(message: Any, index: int) -> None:
        message.data = pictures[index % len(pictures)]

    return change


def main() -> None:
    """Publish until the time is over or SIGTERM comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--imu", type=float, default=0.0, help="samples per second")
    parser.add_argument("--burst", type=int, default=1, help="samples sent at once")
    parser.add_argument("--camera", type=float, default=0.0, help="images per second")
    parser.add_argument("--width", type=int, default=64, help="of an image, pixels")
    parser.add_argument("--height", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=3600.0)
    options = parser.parse_args()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("flood")
    qos = QoSProfile(depth=500, reliability=ReliabilityPolicy.BEST_EFFORT)
    imus = node.create_publisher(Imu, "imu", qos)
    images = node.create_publisher(Image, "camera/image_raw", qos)
    wanted = [p for p, rate in ((imus, options.imu), (images, options.camera)) if rate]
    deadline = time.monotonic() + 60
    while not all(p.get_subscription_count() for p in wanted) and not ended:
        if time.monotonic() > deadline:
            sys.exit("nobody reads what would be published")
        time.sleep(0.02)
    time.sleep(0.5)  # For the readers to know of the publishers too.
    print("matched", flush=True)
    width, height = options.width, options.height
    noise = np.random.default_rng(0).integers(0, 256, (8, height * width * 3), dtype=np.uint8)
    sample, image = Imu(), Image(encoding="rgb8", width=width, height=height, step=3 * width)
    sample.linear_acceleration.z = 9.81
    streams = [
        (Stream(imus, sample, options.imu, options.burst), vary_imu),
        (
            Stream(images, image, options.camera, 1),
            vary_image([array("B", row.tobytes()) for row in noise]),
        ),
    ]
    begin = time.monotonic()
    while not ended and time.monotonic() - begin < options.seconds:
        stream, change = min(streams, key=lambda pair: pair[0].due())
        wait = stream.due() - (time.monotonic() - begin)
        if wait > 0:
            time.sleep(wait)
        else:
            stream.send(change, stream.burst)
    time.sleep(0.5)  # The last message of a stream comes alone: it tells of those lost before it.
    for stream, change in streams:
        if stream.sent:
            stream.send(change, 1)
    sent = {"imu": streams[0][0].sent, "camera": streams[1][0].sent}
    print(json.dumps(sent), flush=True)
    time.sleep(0.5)  # What was sent last is still on its way.
    rclpy.shutdown()
    sys.exit(0)


if __name__ == "__main__":
    main()
