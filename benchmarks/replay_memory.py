"""Measure how much memory it takes to replay a recording that is larger than the memory.

A recording is generated: IMU at 200 Hz and raw 640x480 images at 20 Hz, black but for some noise at
the top, so that the file is sparse: it takes a hundredth of its length on the disk. `liquid-nav
replay` then replays it twice, once for the summary only and once with all output files. Run it with

    python benchmarks/replay_memory.py [--gigabytes 10]

`pip install liquid_nav[replay,viz]` brings what it needs.
"""

import importlib.resources
import io
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from mcap.writer import Writer

from liquid_nav.bags.deserializing import STORE
from liquid_nav.events import SECOND, ImuSample
from liquid_nav.messages.fields import OPTICAL, header
from liquid_nav.messages.image import ImageMessage
from liquid_nav.messages.imu import ImuMessage
from liquid_nav.recording.writer import message

WIDTH, HEIGHT, NOISE = 640, 480, 4096


@dataclass(frozen=True)
class Options:
    """Generate a sparse recording and replay it."""

    gigabytes: float = 10.0
    """Length of the recording in GB (10^9 bytes)."""


class SparseFile(io.FileIO):
    """A file that leaves a hole where the written data ends in many zeros."""

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Write all of `data`."""
        data = bytes(data)
        kept = len(data.rstrip(b"\0"))
        if len(data) - kept < NOISE:
            return super().write(data)
        super().write(data[:kept])
        self.seek(len(data) - kept, os.SEEK_CUR)
        return len(data)


def generate(path: Path, length: float) -> None:
    """Write a recording of `length` bytes."""
    rng = np.random.default_rng(0)
    pixels = np.zeros(HEIGHT * WIDTH * 3, np.uint8)
    with SparseFile(path, "wb") as file:
        # A chunk would be compressed, or its checksum computed over all the zeros.
        writer = Writer(file, use_chunking=False, enable_data_crcs=False)  # type: ignore[arg-type]
        writer.start("ros2")
        channels = {}
        imu, image = ImuMessage(), ImageMessage()
        for sensor in (imu, image):
            text, _ = STORE.generate_msgdef(sensor.type, ros_version=2)
            schema = writer.register_schema(sensor.type, "ros2msg", text.encode())
            channels[sensor.topic] = writer.register_channel(sensor.topic, "cdr", schema)

        def write(topic: str, content: object, now: int) -> None:
            data = bytes(STORE.serialize_cdr(content, content.__msgtype__))  # type: ignore[attr-defined]
            writer.add_message(channels[topic], now + 1_000_000, data, now)

        k = 0
        while file.tell() < length:
            now = SECOND + k * SECOND // 200
            rates, force = rng.normal(size=3), rng.normal((0.0, 0.0, 9.8))
            sample = ImuSample(now, now + 1_000_000, rates, force)
            write(imu.topic, message(imu.type, **imu.encode(sample)), now)
            if k % 10 == 0:
                pixels[:NOISE] = rng.integers(0, 256, NOISE, np.uint8)
                content = message(
                    image.type,
                    header=header(now, OPTICAL),
                    height=HEIGHT,
                    width=WIDTH,
                    encoding="rgb8",
                    step=3 * WIDTH,
                    data=pixels,
                )
                write(image.topic, content, now)
            k += 1
        writer.finish()  # type: ignore[no-untyped-call]


def peak_of(*arguments: str) -> tuple[float, float]:
    """Run `liquid-nav` with arguments; give its peak memory in MB (10^6 bytes) and the seconds."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "liquid_nav.cli.main", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"liquid-nav {' '.join(arguments)}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6, time.perf_counter() - begin


def main() -> None:
    """Measure and print the figures."""
    options = tyro.cli(Options)
    model = str(importlib.resources.files("liquid_nav_models") / "target")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flight.mcap"
        generate(path, 1e7)
        small, _ = peak_of("replay", str(path), "--model", model)
        generate(path, options.gigabytes * 1e9)
        stat = path.stat()
        on_disk = stat.st_blocks * 512 / 1e6
        print(f"recording: {stat.st_size / 1e9:.2f} GB, {on_disk:.0f} MB on the disk")
        print(f"peak memory for a recording of 10 MB: {small:.0f} MB")
        files = ["--out", str(Path(folder) / "out")]
        for what, more in (("the summary only", []), ("all output files", files)):
            peak, seconds = peak_of("replay", str(path), "--model", model, *more)
            print(f"peak memory with {what}: {peak:.0f} MB, {seconds:.0f} s")


if __name__ == "__main__":
    main()
