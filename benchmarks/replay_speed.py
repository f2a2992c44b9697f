"""Measure how fast a recorded flight replays with the shipped model.

A recording is generated: IMU at 200 Hz, and a 640x480 camera at 20 Hz in JPEG or raw. It is read,
decoded and replayed on one thread, first for the statistics only, then with the files that
`liquid-nav replay --out` writes. Run it with

    python benchmarks/replay_speed.py [--seconds 30] [--raw]

`pip install liquid_nav[replay,viz]` brings what it needs.
"""

import importlib.resources
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import tyro

from liquid_nav.bags.bag import Recording
from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Event, ImuSample
from liquid_nav.messages.camera import camera_info, camera_matrix
from liquid_nav.messages.fields import OPTICAL, header
from liquid_nav.messages.image import ImageMessage
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.onboard import Policy, load_policy
from liquid_nav.onboard.config import PolicyCamera
from liquid_nav.recording.recorder import CAMERA_INFO
from liquid_nav.recording.writer import McapWriter, message
from liquid_nav.replay.calibration import find_camera_info
from liquid_nav.replay.report.film import ReplayFilm
from liquid_nav.replay.report.mcap import ReplayOutput
from liquid_nav.replay.run import replay
from liquid_nav.replay.topics import Topics, find

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True)
class Options:
    """Generate a recording and replay it."""

    seconds: float = 30.0
    """Length of the flight in seconds."""
    rounds: int = 5
    """Number of replays that write nothing; with files there is one replay each."""
    raw: bool = False
    """Raw images instead of JPEG."""


def generate(path: Path, options: Options) -> None:
    """Write the recording: images of a moving ground of noise, and inertial samples."""
    rng = np.random.default_rng(0)
    # As fine-grained as a real image: a JPEG of it takes 50 to 60 kB.
    ground = cv2.GaussianBlur(
        rng.integers(0, 256, (HEIGHT, 2 * WIDTH, 3), dtype=np.uint8), (0, 0), 1.5
    )
    imu, size, matrix = ImuMessage(), (WIDTH, HEIGHT), camera_matrix(PolicyCamera(WIDTH, HEIGHT))
    with McapWriter(path) as writer:
        for k in range(round(200 * options.seconds)):
            now = SECOND + k * SECOND // 200
            sample = ImuSample(
                now, now + 1_000_000, rng.normal(size=3), rng.normal((0.0, 0.0, 9.8))
            )
            writer.write(imu.topic, message(imu.type, **imu.encode(sample)), sample.arrival, now)
            if k % 10 == 0:
                image = np.ascontiguousarray(ground[:, k % WIDTH : k % WIDTH + WIDTH])
                head = header(now, OPTICAL)
                info = message("sensor_msgs/msg/CameraInfo", **camera_info(now, size, matrix))
                writer.write(CAMERA_INFO, info, now + 1_000_000, now)
                shown = picture(image, head, options.raw)
                writer.write(ImageMessage.topic, shown, now + 1_000_000, now)


def picture(image: np.ndarray, head: object, raw: bool) -> object:
    """Make the raw or compressed message of an image."""
    if raw:
        return message(
            "sensor_msgs/msg/Image",
            header=head,
            height=HEIGHT,
            width=WIDTH,
            encoding="bgr8",
            step=3 * WIDTH,
            data=image.ravel(),
        )
    return message(
        "sensor_msgs/msg/CompressedImage",
        header=head,
        format="jpeg",
        data=cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].ravel(),
    )


def outputs(folder: Path, policy: Policy) -> Iterator[tuple[str, list[Any]]]:
    """Give what a replay can write: a name, and the context managers that write it."""
    yield "nothing", []
    yield "replay.mcap", [ReplayOutput(folder / "replay.mcap", policy)]
    yield "replay.mcap and video", [ReplayOutput(folder / "replay.mcap", policy), ReplayFilm()]


def main() -> None:
    """Generate the recording, replay it and print the figures."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    policy, _ = load_policy(Path(str(importlib.resources.files("liquid_nav_models") / "target")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flight.mcap"
        generate(path, options)
        size, load = path.stat().st_size / 2**20, os.getloadavg()[0]
        print(f"{size:.0f} MiB, one core, load average {load:.1f}")
        for round_ in range(options.rounds):
            for name, watching in outputs(Path(folder), policy):
                if round_ and watching:
                    continue
                measure(path, policy, name, watching)


def measure(path: Path, policy: Policy, name: str, watching: list[Any]) -> None:
    """Replay once and print the figures."""
    with Recording(path) as recording, ExitStack() as stack:
        watches = [stack.enter_context(each).watch for each in watching]

        def watch(event: Event, command: Command, controller: Controller) -> None:
            for each in watches:
                each(event, command, controller)

        topics = find(recording.topics, Topics(), comparing=False)
        info = find_camera_info(recording, topics)
        begin = time.process_time()
        result = replay(
            recording, topics, policy, camera_info=info, watch=watch if watches else None
        )
        cpu = time.process_time() - begin
    print(
        f"{result.duration:.0f} s of flight, {result.events} events, writes {name}: "
        f"{result.duration / result.wall:.1f} times real time by the wall clock, "
        f"{result.duration / cpu:.1f} times by processor time, "
        f"{result.decode / result.wall:.0%} of the time for decoding and adapting images"
    )


if __name__ == "__main__":
    main()
