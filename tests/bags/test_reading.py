"""The fast ways of reading give what the general ones give."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_nav.bags import imu_cdr
from liquid_nav.bags.deserializing import STORE, Deserializer
from liquid_nav.bags.imu_cdr import read_imu
from liquid_nav.bags.order import WINDOW, in_order
from liquid_nav.bags.records import Damage, Record, Topic
from liquid_nav.errors import ReplayError

IMU = Topic("/imu", imu_cdr.TYPE)
TYPES = STORE.types
NUMBERS = st.lists(st.floats(width=64), min_size=37, max_size=37)


def imu(frame_id: str, sec: int, nanosec: int, numbers: list[float]) -> Any:
    n = np.array(numbers)
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
    vector, quaternion = TYPES["geometry_msgs/msg/Vector3"], TYPES["geometry_msgs/msg/Quaternion"]
    return TYPES[imu_cdr.TYPE](
        header=TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id),
        orientation=quaternion(*numbers[:4]),
        orientation_covariance=n[4:13],
        angular_velocity=vector(*numbers[13:16]),
        angular_velocity_covariance=n[16:25],
        linear_acceleration=vector(*numbers[25:28]),
        linear_acceleration_covariance=n[28:],
    )


def plain(message: Any) -> list[Any]:
    """All that is in a message."""
    vectors = (message.orientation, message.angular_velocity, message.linear_acceleration)
    covariances = (
        message.orientation_covariance,
        message.angular_velocity_covariance,
        message.linear_acceleration_covariance,
    )
    stamp = message.header.stamp
    numbers = [getattr(v, axis, 0.0) for v in vectors for axis in "xyzw"]
    numbers += [float(value) for covariance in covariances for value in covariance]
    return [stamp.sec, stamp.nanosec, message.header.frame_id, np.array(numbers).tobytes()]


@given(
    frame_id=st.text(max_size=20).filter(lambda text: "\0" not in text),
    sec=st.integers(-(2**31), 2**31 - 1),
    nanosec=st.integers(0, 2**32 - 1),
    numbers=NUMBERS,
    padding=st.integers(0, 3),
)
def test_an_imu_by_offsets_is_that_by_definition(
    frame_id: str, sec: int, nanosec: int, numbers: list[float], padding: int
) -> None:
    message = imu(frame_id, sec, nanosec, numbers)
    for little in (True, False):
        data = bytes(STORE.serialize_cdr(message, imu_cdr.TYPE, little_endian=little))
        data += bytes(padding)
        fast = read_imu(memoryview(data))
        assert (fast is not None) == little
        decoded = Deserializer().message(Record(IMU, 0, memoryview(data)))
        assert plain(decoded) == plain(message)


@given(cut=st.integers(0, 330), at=st.integers(0, 20), byte=st.integers(0, 255))
def test_a_broken_imu_is_what_the_general_decoder_says(cut: int, at: int, byte: int) -> None:
    data = bytearray(STORE.serialize_cdr(imu("imu_link", 1, 2, [0.5] * 37), imu_cdr.TYPE))
    data[at] = byte
    data = data[: len(data) - cut] if cut < 300 else data + bytes(cut - 300)
    try:
        expected = STORE.deserialize_cdr(bytes(data), imu_cdr.TYPE)
    except Exception:
        with pytest.raises(ReplayError):
            Deserializer().message(Record(IMU, 0, bytes(data)))
    else:
        assert plain(Deserializer().message(Record(IMU, 0, bytes(data)))) == plain(expected)


def test_an_imu_that_is_defined_otherwise_is_read_by_its_definition() -> None:
    definition = "int32 sec\nfloat64 x\n"
    topic = replace(IMU, definition=definition)
    data = b"\x00\x01\x00\x00" + np.int32(7).tobytes() + bytes(4) + np.float64(2.5).tobytes()
    decoded = Deserializer().message(Record(topic, 0, data))
    assert (decoded.sec, decoded.x) == (7, 2.5)


@given(st.lists(st.integers(0, 3 * WINDOW // 10**8).map(lambda t: t * 10**8), max_size=60))
def test_what_the_window_takes_is_sorted_and_stable(times: list[int]) -> None:
    records = [Record(IMU, time, number) for number, time in enumerate(times)]
    damage = Damage()
    out = list(in_order(records, damage))
    assert [(r.time, r.data) for r in out] == sorted((r.time, r.data) for r in out)
    assert len(out) + damage.unreadable == len(records)
    newest = -1
    for record in records:
        newest = max(newest, record.time)
        # Only what comes later than the window allows may be missing.
        assert record in out or record.time < newest - WINDOW
