"""Damaged recordings: what they still hold is read, what they lost is counted, nothing raises."""

import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType
from mcap.writer import Writer as McapFileWriter
from rosbags.rosbag2 import StoragePlugin

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.order import WINDOW, WINDOW_BYTES, in_order
from liquid_nav.bags.records import LEAP, Damage, Message, Record, Topic
from liquid_nav.errors import ReplayError
from liquid_nav.events import SECOND
from liquid_nav.onboard import Policy
from replay.replay_support import (
    events,
    raw,
    record,
    replayed,
    rewrite_bag,
    rewrite_mcap,
    split_bag,
    write_bag,
    write_mcap,
    write_metadata,
    write_ros1,
)
from support import sample

IMU = "/imu/data_raw"
IMAGES = "/camera/image_raw"


def read(path: Path) -> tuple[list[Message], Damage]:
    damage = Damage()
    with Recording(path) as recording:
        return list(recording.messages(set(recording.topics), damage)), damage


@pytest.fixture(scope="module")
def whole(flow_policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small flight as one file of each kind."""
    path = tmp_path_factory.mktemp("whole")
    record(path / "flight.mcap", flow_policy, events(0.5))
    rewrite_mcap(path / "flight.mcap", path / "chunked.mcap")
    rewrite_mcap(path / "flight.mcap", path / "zstd.mcap", CompressionType.ZSTD)
    rewrite_mcap(path / "flight.mcap", path / "lz4.mcap", CompressionType.LZ4)
    rewrite_mcap(path / "flight.mcap", path / "unchunked.mcap", use_chunking=False)
    rewrite_bag(path / "flight.mcap", path / "rosbags", StoragePlugin.MCAP)
    rewrite_bag(path / "flight.mcap", path / "db", StoragePlugin.SQLITE3)
    files = {file.name: file.read_bytes() for file in path.glob("*.mcap")}
    files["rosbags.mcap"] = (path / "rosbags" / "rosbags.mcap").read_bytes()
    files["flight.db3"] = (path / "db" / "db.db3").read_bytes()
    return files


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


KINDS = [
    "chunked.mcap",
    "zstd.mcap",
    "lz4.mcap",
    "unchunked.mcap",
    "rosbags.mcap",
    "flight.db3",
]


def read_or_refused(path: Path) -> tuple[list[Message], Damage] | None:
    """None where the one error is raised that may be."""
    try:
        return read(path)
    except ReplayError:
        return None


def contents(messages: list[Message]) -> set[tuple[str, int]]:
    return {(message.topic.name, message.time) for message in messages}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(fraction=st.floats(0, 1))
def test_truncated_anywhere(
    whole: dict[str, bytes], scratch: Path, kind: str, fraction: float
) -> None:
    data = whole[kind]
    complete = scratch / f"complete_{kind}"
    complete.write_bytes(data)
    path = scratch / kind
    path.write_bytes(data[: round(fraction * len(data))])
    expected = contents(read(complete)[0])
    outcome = read_or_refused(path)
    if outcome is None:
        return
    messages, damage = outcome
    assert contents(messages) <= expected
    if len(messages) < len(expected):
        assert damage.notes


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(place=st.floats(0, 1), bit=st.integers(0, 7), width=st.sampled_from([1, 1, 4, 300]))
def test_flipped_bytes_anywhere(
    whole: dict[str, bytes], scratch: Path, kind: str, place: float, bit: int, width: int
) -> None:
    data = bytearray(whole[kind])
    start = round(place * (len(data) - width))
    for at in range(start, start + width):
        data[at] ^= 1 << bit
    path = scratch / kind
    path.write_bytes(data)
    outcome = read_or_refused(path)
    if outcome is None:
        return
    messages, damage = outcome
    path.write_bytes(whole[kind])
    missing = len(read(path)[0]) - len(messages)
    assert missing <= 0 or damage.notes


@pytest.mark.parametrize("kind", ["chunked.mcap", "zstd.mcap", "lz4.mcap"])
def test_a_broken_chunk_costs_its_messages_only_and_they_are_counted(
    whole: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    (tmp_path / kind).write_bytes(whole[kind])
    complete, _ = read(tmp_path / kind)
    data = bytearray(whole[kind])
    data[len(data) // 2] ^= 0x10
    (tmp_path / kind).write_bytes(data)
    messages, damage = read(tmp_path / kind)
    assert 0 < damage.lost == len(complete) - len(messages) < len(complete) / 2
    assert any("broken record" in note for note in damage.notes)


@pytest.mark.parametrize("kind", ["chunked.mcap", "zstd.mcap", "lz4.mcap", "unchunked.mcap"])
def test_a_cut_file_gives_all_that_is_before_the_cut(
    whole: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    (tmp_path / kind).write_bytes(whole[kind])
    complete, _ = read(tmp_path / kind)
    (tmp_path / kind).write_bytes(whole[kind][: len(whole[kind]) * 9 // 10])
    messages, damage = read(tmp_path / kind)
    assert len(messages) > len(complete) * 0.6
    assert any("cut short" in note for note in damage.notes)


def records_of(data: bytes) -> list[tuple[int, int, int]]:
    """Type, begin and end of every record of an MCAP file outside chunks."""
    found, at = [], 8
    while at < len(data) - 8:
        opcode, length = struct.unpack_from("<BQ", data, at)
        found.append((opcode, at, at + 9 + length))
        at += 9 + length
    return found


@pytest.mark.parametrize("kind", ["chunked.mcap", "zstd.mcap", "lz4.mcap"])
def test_a_chunk_that_is_there_twice_is_read_once(
    whole: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    data = whole[kind]
    (tmp_path / kind).write_bytes(data)
    complete, _ = read(tmp_path / kind)
    first, second = [begin for opcode, begin, _ in records_of(data) if opcode == 6][:2]
    (tmp_path / kind).write_bytes(data[:second] + data[first:second] + data[second:])
    messages, damage = read(tmp_path / kind)
    assert len(messages) == len(complete)
    assert damage.lost == 0
    assert f"{kind}: a chunk is there twice, and is read once" in damage.notes


def test_records_that_were_cut_out_are_missed(whole: dict[str, bytes], tmp_path: Path) -> None:
    """The file reads well, but its summary counts more, and is not where the end says."""
    data = whole["unchunked.mcap"]
    path = tmp_path / "f.mcap"
    path.write_bytes(data)
    complete, _ = read(path)
    messages = [(begin, end) for opcode, begin, end in records_of(data) if opcode == 5]
    path.write_bytes(data[: messages[100][0]] + data[messages[110][0] :])
    rest, damage = read(path)
    assert len(rest) == len(complete) - 10
    assert damage.lost == 10
    assert any("its summary is not where" in n or "checksum" in n for n in damage.notes)


def test_a_cut_chunk_that_is_not_compressed_keeps_what_it_begins_with(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    """A small bag of rosbags is one chunk, and what its topics are stands only there."""
    path = tmp_path / "f.mcap"
    path.write_bytes(whole["rosbags.mcap"])
    complete, _ = read(path)
    path.write_bytes(whole["rosbags.mcap"][: len(whole["rosbags.mcap"]) * 3 // 4])
    messages, damage = read(path)
    assert contents(messages) < contents(complete)
    assert len(messages) > len(complete) * 0.65
    assert any("is cut, or broken" in note for note in damage.notes)


def test_a_broken_length_costs_what_is_around_it_only(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    data = bytearray(whole["chunked.mcap"])
    second = data.index(b"\x06", data.index(b"\x07", 40_000))
    while struct.unpack_from("<Q", data, second + 1)[0] > 1 << 20:
        second = data.index(b"\x06", second + 1)
    (tmp_path / "f.mcap").write_bytes(data)
    complete, _ = read(tmp_path / "f.mcap")
    data[second + 8] = 0x7F
    (tmp_path / "f.mcap").write_bytes(data)
    messages, damage = read(tmp_path / "f.mcap")
    assert len(complete) / 2 < len(messages) <= len(complete)
    assert damage.lost == len(complete) - len(messages)


@pytest.mark.parametrize("name", ["f.mcap", "f.db3", "f.bag", "f.ulg", "f.mcap.zstd"])
@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"no recording", b"\x89MCAP0\r\n"])
def test_what_is_no_recording_gets_one_clear_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ReplayError, match=str(path)):
        read(path)


def test_no_footer_and_no_index(
    whole: dict[str, bytes], flow_policy: Policy, tmp_path: Path
) -> None:
    complete = whole["chunked.mcap"]
    path = tmp_path / "f.mcap"
    path.write_bytes(complete)
    expected = replayed(path, flow_policy)
    path.write_bytes(complete[:-8])
    assert replayed(path, flow_policy).digest == expected.digest
    rewrite_mcap(tmp_path / "f.mcap", tmp_path / "bare.mcap", repeat_channels=False)
    assert replayed(tmp_path / "bare.mcap", flow_policy).digest == expected.digest


def test_unknown_types_and_service_events_do_not_matter(
    flow_policy: Policy, whole: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "f.mcap"
    path.write_bytes(whole["chunked.mcap"])
    expected = replayed(path, flow_policy)
    with (tmp_path / "more.mcap").open("wb") as file:
        writer = McapFileWriter(file)
        writer.start("ros2")
        nonsense = writer.register_schema("acme_msgs/msg/Thing", "ros2msg", b"not a ( definition")
        service = writer.register_schema("acme/srv/Do_Event", "", b"")
        channels = [
            writer.register_channel("/thing", "cdr", nonsense),
            writer.register_channel("/do/_service_event", "cdr", service),
            writer.register_channel("/no_schema", "json", 0),
        ]
        known: dict[str, int] = {}
        with Recording(path) as recording:
            for entry in recording._files[0].records(Damage()):
                topic = entry.topic
                if topic.name not in known:
                    schema = writer.register_schema(
                        topic.type, "ros2msg", topic.definition.encode()
                    )
                    known[topic.name] = writer.register_channel(topic.name, "cdr", schema)
                for channel in channels:
                    writer.add_message(channel, entry.time, b"\0\1\2", entry.time)
                writer.add_message(known[topic.name], entry.time, bytes(entry.data), entry.time)
        writer.finish()
    result = replayed(tmp_path / "more.mcap", flow_policy)
    assert result.digest == expected.digest
    assert result.damage.lost == 0
    messages, damage = read(tmp_path / "more.mcap")
    assert set(damage.undecodable) == {"/thing", "/do/_service_event", "/no_schema"}
    assert damage.lost == sum(damage.undecodable.values()) == 3 * len(messages)


def test_metadata_that_lie_are_contradicted(whole: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "f.mcap").write_bytes(whole["chunked.mcap"])
    imu = sum(m.topic.name == IMU for m in read(tmp_path)[0])
    write_metadata(tmp_path, ["f.mcap"], {IMU: ("sensor_msgs/msg/Imu", imu + 55)})
    messages, damage = read(tmp_path)
    assert damage.lost == 55
    assert f"{IMU}: {imu + 55} messages declared, {imu} found" in damage.notes
    write_metadata(tmp_path, ["f.mcap", "gone.mcap"], {IMU: ("sensor_msgs/msg/Imu", 1)})
    again, damage = read(tmp_path)
    assert contents(again) == contents(messages)
    assert "gone.mcap is missing" in damage.notes


@pytest.mark.parametrize("text", [None, "", "a: [", "rosbag2_bagfile_information: 7"])
def test_metadata_are_not_needed(flow_policy: Policy, tmp_path: Path, text: str | None) -> None:
    record(tmp_path / "flight.mcap", flow_policy, events(0.3))
    expected = replayed(tmp_path / "flight.mcap", flow_policy)
    split_bag(tmp_path / "flight.mcap", tmp_path / "bag", StoragePlugin.MCAP)
    if text is None:
        (tmp_path / "bag" / "metadata.yaml").unlink()
    else:
        (tmp_path / "bag" / "metadata.yaml").write_text(text)
    result = replayed(tmp_path / "bag", flow_policy)
    assert result.digest == expected.digest
    assert any("metadata.yaml" in note for note in result.damage.notes)


def test_an_empty_flight_is_replayed(flow_policy: Policy, tmp_path: Path) -> None:
    with (tmp_path / "f.mcap").open("wb") as file:
        writer = McapFileWriter(file)
        writer.start("ros2")
        schema = writer.register_schema("sensor_msgs/msg/Imu", "ros2msg", b"")
        writer.register_channel(IMU, "cdr", schema)
        writer.finish()
    result = replayed(tmp_path / "f.mcap", flow_policy, comparing=False)
    assert (result.events, len(result.times), result.damage.lost) == (0, 0, 0)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ReplayError, match="holds no recording"):
        read(tmp_path / "nothing")


def pages_of(data: bytes, kind: int) -> list[int]:
    """Where the whole pages of a kind begin in a database."""
    return [at for at in range(4096, len(data) - 4095, 4096) if data[at] == kind]


def rows_in(data: bytes, page: int) -> int:
    return int.from_bytes(data[page + 3 : page + 5], "big")


def message_pages(data: bytes) -> list[int]:
    """Pages with rows of the table of messages; those of the other tables hold fewer rows."""
    return [page for page in pages_of(data, 13) if rows_in(data, page) >= 5]


@pytest.mark.parametrize("filler", [b"\0", b"\xaa"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_broken_page_of_a_database_costs_its_rows_only(
    whole: dict[str, bytes], tmp_path: Path, place: str, filler: bytes
) -> None:
    path = tmp_path / "f.db3"
    path.write_bytes(whole["flight.db3"])
    complete, _ = read(path)
    data = bytearray(whole["flight.db3"])
    leaves = message_pages(data)
    page = leaves[{"first": 0, "middle": len(leaves) // 2, "last": -1}[place]]
    rows = rows_in(data, page)
    data[page : page + 4096] = filler * 4096
    path.write_bytes(data)
    messages, damage = read(path)
    assert len(messages) == len(complete) - rows
    assert contents(messages) <= contents(complete)
    assert damage.lost == rows
    assert f"f.db3: {rows} messages are in pages that cannot be read" in damage.notes


@pytest.mark.parametrize("kind", [5, 2, 10])
def test_pages_that_only_lead_to_rows_cost_nothing(
    whole: dict[str, bytes], tmp_path: Path, kind: int
) -> None:
    """The tree of the table, and the index of times."""
    path = tmp_path / "f.db3"
    path.write_bytes(whole["flight.db3"])
    complete, _ = read(path)
    data = bytearray(whole["flight.db3"])
    for page in pages_of(data, kind):
        data[page : page + 4096] = bytes(4096)
    path.write_bytes(data)
    messages, damage = read(path)
    assert contents(messages) == contents(complete)
    assert damage.lost == 0


def test_a_database_without_its_beginning_is_read_by_its_pages(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "f.db3"
    path.write_bytes(whole["flight.db3"])
    complete, _ = read(path)
    path.write_bytes(bytes(4096) + whole["flight.db3"][4096:])
    messages, damage = read(path)
    assert contents(messages) == contents(complete)
    assert damage.lost == 0
    assert any("its topics are read from its pages" in note for note in damage.notes)


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.95])
def test_a_cut_database_gives_every_row_before_the_cut(
    whole: dict[str, bytes], tmp_path: Path, fraction: float
) -> None:
    path = tmp_path / "f.db3"
    data = whole["flight.db3"][: int(len(whole["flight.db3"]) * fraction)]
    there = sum(rows_in(data, page) for page in message_pages(data))
    path.write_bytes(data)
    messages, damage = read(path)
    # The data of one row may be behind the cut.
    assert len(messages) >= there - 1
    assert damage.lost > 0
    assert any("f.db3 is cut short" in note for note in damage.notes)


def test_rows_that_a_user_deleted_are_not_lost(whole: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "f.db3"
    path.write_bytes(whole["flight.db3"])
    complete, _ = read(path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM messages WHERE id % 3 = 0 OR id < 40")
    connection.close()
    messages, damage = read(path)
    assert contents(messages) < contents(complete)
    assert (damage.lost, damage.notes) == (0, [])
    # Deleted rows are still in free pages, and stay deleted when another page breaks.
    data = bytearray(path.read_bytes())
    last = message_pages(data)[-1]
    data[last : last + 4096] = bytes(4096)
    path.write_bytes(data)
    fewer, damage = read(path)
    assert contents(fewer) < contents(messages)
    assert damage.lost > 0


def test_what_is_in_the_log_of_a_killed_recorder_is_read(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    """rosbag2 with a write-ahead log: its last rows are not in the database yet."""
    (tmp_path / "whole.db3").write_bytes(whole["flight.db3"])
    complete, _ = read(tmp_path / "whole.db3")
    path = tmp_path / "f.db3"
    path.write_bytes(whole["flight.db3"])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        rows = connection.execute("SELECT topic_id, timestamp, data FROM messages").fetchall()
        sql = "INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)"
        connection.executemany(sql, [(topic, time + SECOND, data) for topic, time, data in rows])
    killed = tmp_path / "killed"
    killed.mkdir()
    log = (tmp_path / "f.db3-wal").read_bytes()
    (killed / "f.db3-wal").write_bytes(log)
    data = bytearray(path.read_bytes())
    connection.close()
    (killed / "f.db3").write_bytes(data)
    messages, damage = read(killed / "f.db3")
    assert (len(messages), damage.lost) == (2 * len(complete), 0)
    # The same from its pages: the log holds them all but the first of the file.
    data[:16] = bytes(16)
    (killed / "f.db3").write_bytes(data)
    (killed / "f.db3-wal").write_bytes(log)
    messages, damage = read(killed / "f.db3")
    assert (len(messages), damage.lost) == (2 * len(complete), 0)


def imu_record(time: int) -> Record:
    return Record(Topic(IMU, "sensor_msgs/msg/Imu"), time, b"")


def test_a_database_whose_rows_are_exchanged_is_read_whole(
    flow_policy: Policy, tmp_path: Path
) -> None:
    """A leaf of the table with its first row and its last exchanged."""
    record(tmp_path / "f.mcap", flow_policy, [sample(k / 100, seed=k) for k in range(4)])
    rewrite_bag(tmp_path / "f.mcap", tmp_path / "db", StoragePlugin.SQLITE3)
    path = tmp_path / "db" / "db.db3"
    data = bytearray(path.read_bytes())
    # https://www.sqlite.org/fileformat.html, 1.6: kind of page, two bytes of count, cell pointers.
    (page,) = (at for at in range(0, len(data), 4096) if data[at] == 13 and data[at + 4] == 8)
    first, last = slice(page + 8, page + 10), slice(page + 22, page + 24)
    data[first], data[last] = data[last], data[first]
    path.write_bytes(data)
    messages, damage = read(path)
    assert len(messages) == 8
    assert damage.lost == 0
    assert any("rows are missing" in note for note in damage.notes)


def test_the_window_sorts_what_it_can_and_counts_the_rest() -> None:
    damage, start = Damage(), 10**18
    times = [start, start + 5, start + 3, start + 2 * WINDOW, start + 4, start + 2 * WINDOW + 1]
    out = [r.time for r in in_order(map(imu_record, times), damage)]
    assert out == sorted(set(times) - {start + 4})
    assert damage.unreadable == 1
    assert any("out of order" in note for note in damage.notes)


def test_a_large_image_is_held_until_the_next() -> None:
    start, period = 10**18, SECOND // 20
    records = []
    for k in range(6):
        image = Record(
            Topic(IMAGES, "sensor_msgs/msg/Image"), start + k * period, bytes(WINDOW_BYTES + 1)
        )
        records += [image, imu_record(image.time + 2), imu_record(image.time - 1)]
    out = list(in_order(records, damage := Damage()))
    assert [r.time for r in out] == sorted(r.time for r in records)
    assert damage.unreadable == 0


def large(time: int) -> Record:
    return Record(Topic(IMAGES, "sensor_msgs/msg/Image"), time, bytes(6 << 20))


def test_the_order_of_large_images_is_that_of_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1080p: an IMU sample that is 35 ms late has five images of 6 MiB before it."""
    start, period = 10**18, SECOND // 140
    late = SECOND * 35 // 1000
    records = [large(start + k * period) for k in range(20)]
    records.insert(12, imu_record(records[11].time - late))
    for lateness in (None, late):
        out = list(in_order(records, damage := Damage(), WINDOW, lambda known=lateness: known))
        assert [r.time for r in out] == sorted(r.time for r in records)
        assert (damage.unreadable, damage.notes) == (0, [])
    # Where the memory is too small for the window, the note says so.
    monkeypatch.setattr("liquid_nav.bags.order.HELD_BYTES", 10 << 20)
    out = list(in_order(records, damage := Damage()))
    assert damage.unreadable == len(records) - len(out) == 1
    note = "messages out of order, behind more than 10 MiB of others, were dropped"
    assert damage.notes == [note]


def test_what_the_index_says_bounds_the_memory() -> None:
    """Images that are in order are not held for a whole window."""
    start, alive = 10**18, []

    def records() -> Iterator[Record]:
        for k in range(30):
            alive.append(k)
            yield large(start + k * SECOND // 30)

    most = 0
    for _ in in_order(records(), Damage(), WINDOW, lambda: 0):
        alive.pop(0)
        most = max(most, len(alive))
    assert most <= 2


@pytest.mark.parametrize("kind", [*KINDS, "flight.bag"])
def test_files_tell_how_far_they_are_out_of_order(
    whole: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "f.mcap"
    path.write_bytes(whole["chunked.mcap"])
    entries = list(raw(path))
    entries[9], entries[60] = entries[60], entries[9]
    late = max(entries[9][2] - entry[2] for entry in entries[10:61])
    written = write_as(kind, entries, tmp_path)
    with Recording(written) as recording:
        found = recording._files[0].lateness()
        order = [record.time for record in recording._files[0].records(Damage())]
        times = [m.time for m in recording.messages(set(recording.topics))]
    assert times == sorted(times)
    assert found is not None
    # Within a chunk, messages are sorted; the file tells of those in others.
    newest, real = 0, 0
    for time in order:
        newest = max(newest, time)
        real = max(real, newest - time)
    assert real <= found <= late


def write_as(kind: str, entries: list[tuple[str, str, int, bytes]], folder: Path) -> Path:
    """Write entries as the kind of file that has this name, in their order."""
    path = folder / kind
    if kind == "flight.bag":
        write_ros1(path, entries)
    elif kind == "flight.db3" or kind == "rosbags.mcap":
        plugin = StoragePlugin.SQLITE3 if kind == "flight.db3" else StoragePlugin.MCAP
        write_bag(folder / "bag", entries, plugin)
        path = next(file for file in (folder / "bag").iterdir() if file.suffix != ".yaml")
    else:
        compression = {"zstd.mcap": CompressionType.ZSTD, "lz4.mcap": CompressionType.LZ4}
        write_mcap(
            path,
            entries,
            compression.get(kind, CompressionType.NONE),
            use_chunking=kind != "unchunked.mcap",
        )
    return path


@pytest.mark.parametrize("nonsense", [2**64 - 1, 2**63, -1])
def test_times_that_no_clock_shows_are_counted(nonsense: int) -> None:
    """Two in a row are no leap."""
    times = [10**18, nonsense, nonsense, 10**18 + 1]
    out = list(in_order(map(imu_record, times), damage := Damage()))
    assert [record.time for record in out] == [10**18, 10**18 + 1]
    assert damage.unreadable == 2
    assert damage.notes == [f"{IMU}: its time is far from those of its neighbours"]


def test_one_time_out_of_all_order_is_not_believed_but_a_leap_is() -> None:
    start = 10**18
    damage = Damage()
    times = [start, start + 1, start + 2**60, start + 2, start + 3]
    assert [r.time for r in in_order(map(imu_record, times), damage)] == [
        t for t in times if t < start + 2**60
    ]
    assert damage.unreadable == 1
    damage = Damage()
    times = [start, start + 1, start - 2 * LEAP, start - 2 * LEAP + 1]
    assert [r.time for r in in_order(map(imu_record, times), damage)] == times
    assert damage.unreadable == 0


def test_no_recording_can_be_an_event_before_it_was_measured(
    flow_policy: Policy, tmp_path: Path
) -> None:
    """A real log: equal stamps, gaps of 65 ms, silences of 1 s."""
    flight, time = [], 1.0
    for k in range(400):
        time += (0.0, 0.004, 0.065, 1.0)[0 if k % 7 == 0 else 3 if k % 131 == 0 else k % 2 + 1]
        flight.append(sample(time, 0.0, seed=k))
    record(tmp_path / "f.mcap", flow_policy, flight)
    result = replayed(tmp_path / "f.mcap", flow_policy)
    figures = result.channels[flight[0].channel]
    assert figures.events == 400
    assert figures.equal_stamps > 50
    assert figures.gap_count > 0
    assert max(length for _, length in figures.gaps) == pytest.approx(1.0)
    assert result.comparison is not None
    assert result.comparison.identical
