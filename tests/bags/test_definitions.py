"""Names and definitions of messages as other tools write them, and broken ones."""

from pathlib import Path

import pytest
from mcap.writer import Writer

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.deserializing import STORE, to_cdr
from liquid_nav.bags.records import Damage, Record, Topic
from liquid_nav.errors import ReplayError
from liquid_nav.onboard import Policy
from replay.replay_support import (
    STORE1,
    Entry,
    as_ros1,
    events,
    raw,
    record,
    replayed,
)

IMU = "sensor_msgs/msg/Imu"
TEXT = STORE.generate_msgdef(IMU, ros_version=2)[0]


@pytest.fixture(scope="module")
def entries(flow_policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    path = tmp_path_factory.mktemp("entries") / "flight.mcap"
    record(path, flow_policy, events(0.3))
    return [entry for entry in raw(path) if "settings" not in entry[0]]


def write(path: Path, entries: list[Entry], names: str, texts: dict[str, str]) -> None:
    """Write MCAP with types named by a pattern, and other definitions for some types."""
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for topic, kind, time, data in entries:
            if topic not in channels:
                package, _, name = kind.split("/")
                text = texts.get(kind) or STORE.generate_msgdef(kind, ros_version=2)[0]
                schema = writer.register_schema(
                    names.format(package=package, name=name), "ros2msg", text.encode()
                )
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], time, data, time)
        writer.finish()


@pytest.mark.parametrize(
    "names", ["{package}/{name}", "{package}::msg::dds_::{name}_", "{package}::msg::{name}"]
)
def test_types_have_many_spellings(
    entries: list[Entry], flow_policy: Policy, tmp_path: Path, names: str
) -> None:
    write(tmp_path / "as_usual.mcap", entries, "{package}/msg/{name}", {})
    write(tmp_path / "f.mcap", entries, names, {})
    expected = replayed(tmp_path / "as_usual.mcap", flow_policy)
    result = replayed(tmp_path / "f.mcap", flow_policy)
    assert result.digest == expected.digest
    assert result.events == expected.events > 0
    assert result.damage.lost == 0


def test_messages_of_ros1_in_mcap(
    entries: list[Entry], flow_policy: Policy, tmp_path: Path
) -> None:
    """As ``mcap convert flight.bag flight.mcap`` writes them."""
    write(tmp_path / "as_usual.mcap", entries, "{package}/msg/{name}", {})
    with (tmp_path / "f.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start("ros1")
        channels: dict[str, int] = {}
        for topic, kind, time, data in entries:
            if topic not in channels:
                text = STORE1.generate_msgdef(kind, ros_version=1)[0]
                schema = writer.register_schema(
                    kind.replace("/msg/", "/"), "ros1msg", text.encode()
                )
                channels[topic] = writer.register_channel(topic, "ros1", schema)
            message = as_ros1(kind, STORE.deserialize_cdr(data, kind))
            content = bytes(STORE1.serialize_ros1(message, kind))
            writer.add_message(channels[topic], time, content, time)
        writer.finish()
    expected = replayed(tmp_path / "as_usual.mcap", flow_policy)
    assert replayed(tmp_path / "f.mcap", flow_policy).digest == expected.digest


@pytest.mark.parametrize(
    "text",
    ["not a ( definition", TEXT.partition("===")[0], TEXT.replace("angular_velocity\n", "(\n"),
     TEXT.replace("geometry_msgs/Vector3 linear_acceleration\n", ""), "\0" * 40],
    ids=["nonsense", "without parts", "one name", "a field less", "zeros"],
)  # fmt: skip
def test_the_standard_definition_takes_the_place_of_a_broken_one(
    entries: list[Entry], flow_policy: Policy, tmp_path: Path, text: str
) -> None:
    write(tmp_path / "as_usual.mcap", entries, "{package}/msg/{name}", {})
    write(tmp_path / "f.mcap", entries, "{package}/msg/{name}", {IMU: text})
    expected = replayed(tmp_path / "as_usual.mcap", flow_policy)
    result = replayed(tmp_path / "f.mcap", flow_policy)
    assert result.digest == expected.digest
    assert result.damage.lost == 0
    told = f"/imu/data_raw: the recorded definition of {IMU} is broken"
    assert any(note.startswith(told) for note in result.damage.notes)


def test_a_broken_definition_of_another_type_costs_its_messages(
    entries: list[Entry], tmp_path: Path
) -> None:
    own = [("/own", "own_msgs/msg/Own", time, data) for _, _, time, data in entries[:5]]
    write(tmp_path / "f.mcap", own, "{package}/msg/{name}", {"own_msgs/msg/Own": "float ("})
    damage = Damage()
    with Recording(tmp_path / "f.mcap") as recording:
        assert list(recording.messages({"/own"}, damage)) == []
    assert damage.undecodable == {"/own": 5}


@pytest.mark.parametrize("kind", ["sensor_msgs/msg/CameraInfo", IMU])
def test_messages_of_ros1_become_those_of_ros2(entries: list[Entry], kind: str) -> None:
    data = next(entry[3] for entry in entries if entry[1] == kind)
    message = as_ros1(kind, STORE.deserialize_cdr(data, kind))
    ros1 = bytes(STORE1.serialize_ros1(message, kind))
    assert to_cdr(Record(Topic("/a", kind, "ros1"), 0, ros1)) == data
    with pytest.raises(ReplayError, match="a message is not"):
        to_cdr(Record(Topic("/a", kind, "ros1"), 0, ros1[:20]))


def test_a_type_that_changed_has_no_form_in_ros2() -> None:
    topic = Topic("/sonar", "sensor_msgs/msg/Range", "ros1")
    with pytest.raises(ReplayError, match="has no form in ROS 2"):
        to_cdr(Record(topic, 0, bytes(64)))
