"""Folders: one recording in parts is read as one, and several recordings are not."""

import shutil
from pathlib import Path

import pytest
from rosbags.rosbag2 import StoragePlugin

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import Damage
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND
from liquid_nav.onboard import Policy
from replay.replay_support import (
    Entry,
    compress,
    events,
    raw,
    record,
    split_bag,
    write_mcap,
    write_metadata,
    write_ros1,
)

IMU = "/imu/data_raw"


@pytest.fixture(scope="module")
def entries(flow_policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    path = tmp_path_factory.mktemp("entries") / "flight.mcap"
    record(path, flow_policy, events(0.3))
    return list(raw(path))


def later(entries: list[Entry], seconds: float) -> list[Entry]:
    return [(topic, kind, time + round(seconds * SECOND), d) for topic, kind, time, d in entries]


def read(path: Path) -> tuple[int, Damage]:
    damage = Damage()
    with Recording(path) as recording:
        return len(list(recording.messages(set(recording.topics), damage))), damage


@pytest.mark.parametrize(
    "names",
    [
        ("flight_7.mcap", "flight_8.mcap"),
        ("flight_0.mcap", "flight_1.mcap"),
        ("morning.mcap", "noon.mcap"),
        ("flight.mcap", "flight.bag"),
    ],
)
def test_flights_at_the_same_time_are_not_one(
    entries: list[Entry], tmp_path: Path, names: tuple[str, str]
) -> None:
    """`liquid-nav fly --record` begins each flight at the same simulated time."""
    for name in names:
        (write_ros1 if name.endswith(".bag") else write_mcap)(tmp_path / name, entries)
    with pytest.raises(ReplayError, match="several recordings") as error:
        Recording(tmp_path)
    assert all(f"{name} (0." in str(error.value) for name in names)
    assert "Give the path of one of them" in str(error.value)


def test_flights_of_one_day_are_not_one(entries: list[Entry], tmp_path: Path) -> None:
    for number, begin in enumerate((0.0, 300.0)):
        write_mcap(tmp_path / f"flight_{number}.mcap", later(entries, begin))
    with pytest.raises(ReplayError, match="several recordings"):
        Recording(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("flight_0.mcap", "flight_1.mcap"),
        ("flight_9.mcap", "flight_10.mcap"),
        ("f_2026-11-28-09-00-00_0.bag", "f_2026-11-28-09-00-01_1.bag"),
        ("flight_0.bag", "flight_1.bag.active"),
    ],
)
def test_parts_of_a_split_bag_are_one(
    entries: list[Entry], tmp_path: Path, names: tuple[str, str]
) -> None:
    for name, begin in zip(names, (0.0, 0.4), strict=True):
        write = write_mcap if name.endswith(".mcap") else write_ros1
        write(tmp_path / name, later(entries, begin))
    count, damage = read(tmp_path)
    assert count == 2 * len(entries)
    assert damage.lost == 0


def test_a_part_that_is_missing_does_not_part_the_others(
    entries: list[Entry], tmp_path: Path
) -> None:
    for number in (0, 1, 3):
        write_mcap(tmp_path / f"flight_{number}.mcap", later(entries, 9.0 * number))
    assert read(tmp_path)[0] == 3 * len(entries)


def test_a_recording_that_the_metadata_do_not_name_is_read_only_if_it_goes_on(
    entries: list[Entry], tmp_path: Path
) -> None:
    counts = {IMU: ("sensor_msgs/msg/Imu", sum(entry[0] == IMU for entry in entries))}
    write_mcap(tmp_path / "bag_0.mcap", entries)
    write_mcap(tmp_path / "bag_1.mcap", later(entries, 0.4))
    write_metadata(tmp_path, ["bag_0.mcap"], counts)
    count, damage = read(tmp_path)
    assert count == 2 * len(entries)
    assert "metadata.yaml does not name bag_1.mcap, which was read too" in damage.notes
    # The same again, as someone has unpacked it.
    shutil.copy(tmp_path / "bag_0.mcap", tmp_path / "bag_0_copy.mcap")
    count, damage = read(tmp_path)
    assert count == 2 * len(entries)
    assert "metadata.yaml does not name bag_0_copy.mcap, which was left out" in damage.notes


def test_a_bag_that_rosbag_mended_is_read_once(entries: list[Entry], tmp_path: Path) -> None:
    for name in ("flight.bag", "flight.orig.bag"):
        write_ros1(tmp_path / name, entries)
    count, damage = read(tmp_path)
    assert count == len(entries)
    assert "flight.orig.bag is left out, flight.bag is the same" in damage.notes


def test_a_folder_of_bags_names_them(flow_policy: Policy, tmp_path: Path) -> None:
    record(tmp_path / "f.mcap", flow_policy, events(0.2))
    for name in ("first", "second"):
        (tmp_path / "all").mkdir(exist_ok=True)
        split_bag(tmp_path / "f.mcap", tmp_path / "all" / name, StoragePlugin.MCAP)
        for part in (tmp_path / "all").glob("part*"):
            shutil.rmtree(part)
    with pytest.raises(ReplayError, match="Its folders first, second do"):
        Recording(tmp_path / "all")


@pytest.mark.parametrize("name", ["flight.bag", "flight.db3", "flight", "flight.MCAP", "f.txt"])
def test_a_recording_is_known_by_its_content(
    entries: list[Entry], tmp_path: Path, name: str
) -> None:
    write_mcap(tmp_path / "flight.mcap", entries)
    (tmp_path / "flight.mcap").rename(tmp_path / name)
    assert read(tmp_path / name)[0] == len(entries)
    compressed = compress(tmp_path / name)
    assert read(compressed)[0] == len(entries)
    compressed.rename(tmp_path / "packed.mcap")
    assert read(tmp_path / "packed.mcap")[0] == len(entries)


def test_links_are_followed_and_what_is_no_file_is_refused(
    entries: list[Entry], tmp_path: Path
) -> None:
    import os

    write_mcap(tmp_path / "real", entries)
    (tmp_path / "link.mcap").symlink_to("real")
    assert read(tmp_path / "link.mcap")[0] == len(entries)
    (tmp_path / "lost.mcap").symlink_to("nowhere")
    (tmp_path / "round.mcap").symlink_to("round.mcap")
    for name in ("lost.mcap", "round.mcap"):
        with pytest.raises(ReplayError, match="does not exist"):
            Recording(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.mcap")
    with pytest.raises(ReplayError, match="is not a file"):
        Recording(tmp_path / "pipe.mcap")
