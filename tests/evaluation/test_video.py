"""Videos of flights: what a browser would find in the file."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.evaluation.video import FPS, FlightVideo, save_picture
from liquid_nav.evaluation.view import PANEL_HEIGHT, PANEL_WIDTH, FlightView
from liquid_nav.events import SECOND, CameraFrame
from liquid_nav.mp4 import Mp4Writer
from liquid_nav.onboard import Policy
from liquid_nav_sim.config import WorldConfig
from liquid_nav_sim.tasks.target import TargetTask
from liquid_nav_sim.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def fly_to(world: World, video: FlightVideo, seconds: float) -> None:
    """Fly forward and film it."""
    world.reset(1)
    while (event := world.next_event()) is not None and world.time < seconds * SECOND:
        command = Command(event.arrival, 1.5, 0.0, 0.0, 0.3)
        world.command(command)
        video.watch(event, command)


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == FPS
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


def test_video_shows_both_views_in_simulated_real_time(world: World, tmp_path: Path) -> None:
    path = tmp_path / "flights.mp4"
    video = FlightVideo(path, world)
    video.begin("a flight")
    fly_to(world, video, 1.5)
    assert not path.exists()
    video.close()
    assert os.listdir(tmp_path) == ["flights.mp4"]
    frames = decode(path)
    assert len(frames) == pytest.approx(1.5 * FPS, abs=2)
    assert frames[0].shape == (FlightView.height, FlightView.width, 3)
    first, last = frames[0].astype(int), frames[-1].astype(int)
    for left in (0, PANEL_WIDTH):
        panel = np.s_[40:PANEL_HEIGHT, left : left + PANEL_WIDTH]
        assert first[panel].std() > 5, "a view is empty"
        assert np.abs(last[panel] - first[panel]).mean() > 2, "a view stands still"
    # The index lies in front of the frames, so that a browser starts at once.
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_end_is_held_and_flights_follow_each_other(world: World, tmp_path: Path) -> None:
    video = FlightVideo(tmp_path / "flights.mp4", world)
    for title in ("first", "second"):
        video.begin(title)
        fly_to(world, video, 0.3)
        video.end()
    video.close()
    frames = decode(tmp_path / "flights.mp4")
    assert len(frames) == pytest.approx(2 * (0.3 * FPS + FPS), abs=3)
    still = frames[-5].astype(int) - frames[-1].astype(int)
    assert np.abs(still).mean() < 0.5


def test_discard_leaves_nothing(world: World, tmp_path: Path) -> None:
    video = FlightVideo(tmp_path / "flights.mp4", world)
    fly_to(world, video, 0.3)
    video.discard()
    video.close()
    assert os.listdir(tmp_path) == []


def test_without_a_frame_there_is_no_file(world: World, tmp_path: Path) -> None:
    FlightVideo(tmp_path / "flights.mp4", world).close()
    assert os.listdir(tmp_path) == []


def test_an_old_video_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "flights.mp4"
    path.write_bytes(b"old")
    writer = Mp4Writer(path, 64, 48, FPS)
    writer.write(np.zeros((48, 64, 3), np.uint8))
    assert path.read_bytes() == b"old"
    writer.close()
    writer.discard()
    assert len(decode(path)) == 1


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Mp4Writer(tmp_path / "nowhere" / "flights.mp4", 64, 48, FPS)


def test_watching_changes_nothing(world: World, tmp_path: Path) -> None:
    """The outside camera must not be noticed by the onboard one."""

    def frames(video: FlightVideo | None) -> list[np.ndarray]:
        world.reset(2)
        seen = []
        while (event := world.next_event()) is not None and world.time < SECOND // 2:
            if isinstance(event, CameraFrame):
                seen.append(event.image)
            if video is not None:
                video.watch(event, Command(event.arrival))
        return seen

    video = FlightVideo(tmp_path / "flights.mp4", world)
    watched = frames(video)
    video.discard()
    assert all(map(np.array_equal, watched, frames(None)))


def test_picture_has_a_row_per_moment(flow_policy: Policy, tmp_path: Path) -> None:
    world = World(WorldConfig(task=TargetTask(time_limit=1.0)))
    flight = save_picture(
        tmp_path / "flight.png", world, Controller(flow_policy), 3, (0.0, 0.5, 99.0)
    )
    world.close()
    image = cv2.imread(str(tmp_path / "flight.png"))
    assert image is not None
    assert image.shape == (3 * FlightView.height, FlightView.width, 3)
    assert flight.seed == 3
    assert os.listdir(tmp_path) == ["flight.png"]
