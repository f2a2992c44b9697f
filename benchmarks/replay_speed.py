"""How fast a recorded flight replays, and in how much memory, with the shipped model.

A recording is generated: IMU at 200 Hz, and a 640x480 camera at 20 Hz in JPEG, or raw to make it
large. One thread. Run it with

    python benchmarks/replay_speed.py [--seconds 60] [--raw]

`pip install liquid_nav[replay]` brings what it needs.
"""

import importlib.resources
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from liquid_nav.events import SECOND, ImuSample
from liquid_nav.policy import load_policy
from liquid_nav.policy.config import PolicyCamera
from liquid_nav.replay.intake import find_camera_info
from liquid_nav.replay.recorder import CAMERA, CAMERA_INFO, IMU, OPTICAL, camera_info, imu_message
from liquid_nav.replay.recording import Recording
from liquid_nav.replay.run import replay
from liquid_nav.replay.topics import Topics, find
from liquid_nav.replay.writer import McapWriter, header, message

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True)
class Options:
    """Generate a recording and replay it."""

    seconds: float = 60.0
    """Length of the flight."""
    raw: bool = False
    """Raw images instead of JPEG."""


def generate(path: Path, options: Options) -> None:
    """Write the recording: a ground of noise that moves, seen at 20 Hz, and an IMU."""
    rng = np.random.default_rng(0)
    # The grain of a real image: a JPEG of it takes 50 to 60 kB.
    ground = cv2.GaussianBlur(
        rng.integers(0, 256, (HEIGHT, 2 * WIDTH, 3), dtype=np.uint8), (0, 0), 1.5
    )
    camera = PolicyCamera(WIDTH, HEIGHT)
    with McapWriter(path) as writer:
        for k in range(round(200 * options.seconds)):
            now = SECOND + k * SECOND // 200
            sample = ImuSample(
                now, now + 1_000_000, rng.normal(size=3), rng.normal((0.0, 0.0, 9.8))
            )
            writer.write(IMU, imu_message(sample), sample.arrival, now)
            if k % 10 == 0:
                image = np.ascontiguousarray(ground[:, k % WIDTH : k % WIDTH + WIDTH])
                head = header(now, OPTICAL)
                writer.write(CAMERA_INFO, camera_info(camera, head), now + 1_000_000, now)
                writer.write(CAMERA, picture(image, head, options.raw), now + 1_000_000, now)


def picture(image: np.ndarray, head: object, raw: bool) -> object:
    """Raw or compressed message of an image."""
    if raw:
        return message(
            "sensor_msgs/msg/Image",
            header=head,
            height=HEIGHT,
            width=WIDTH,
            encoding="bgr8",
            is_bigendian=0,
            step=3 * WIDTH,
            data=image.ravel(),
        )
    return message(
        "sensor_msgs/msg/CompressedImage",
        header=head,
        format="jpeg",
        data=cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].ravel(),
    )


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    policy, _ = load_policy(Path(str(importlib.resources.files("liquid_nav_models") / "target")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flight.mcap"
        generate(path, options)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = path.stat().st_size / 2**20
        with Recording(path) as recording:
            topics = find(recording.topics, Topics(), comparing=False, goals=False)
            info = find_camera_info(recording, topics)
            begin = time.process_time()
            result = replay(recording, topics, policy, camera_info=info)
            cpu = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{size:.0f} MB, {result.duration:.0f} s of flight, {result.events} events")
    print(f"{result.duration / result.wall:.1f}x real time by the wall clock")
    print(f"{result.duration / cpu:.1f}x real time by processor time, {1e3 * cpu:.0f} ms")
    print(f"{result.decode / result.wall:.0%} of it for decoding and adapting images")
    print(f"peak memory {peak:.0f} MiB, {before:.0f} MiB of it before the replay")


if __name__ == "__main__":
    main()
