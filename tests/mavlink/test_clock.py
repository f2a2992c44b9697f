"""Stamps of an autopilot's clock on ours, and the first setpoints of a flight."""

import pytest

pytest.importorskip("pymavlink", reason="pymavlink is not installed")

from pymavlink.dialects.v20 import ardupilotmega as dialect

from liquid_nav.command import Command, Mode
from liquid_nav.events import SECOND
from liquid_nav.mavlink.authority import Authority
from liquid_nav.mavlink.autopilots import PX4
from liquid_nav.mavlink.clock import DeviceClock
from liquid_nav.mavlink.decode import Decoder
from liquid_nav.mavlink.state import AutopilotState

MS = SECOND // 1000
BOOT = 5_000 * SECOND
"""Our clock when the autopilot's showed zero."""


def stamps(clock: DeviceClock, times: range, latency: int, offset: int = BOOT) -> list[int]:
    """Errors of the stamps of messages that were measured at these times and came so late, ns."""
    return [clock.stamp(t - offset, t + latency) - t for t in times]


def seconds(first: float, last: float, step: float = 0.01) -> range:
    return range(round(BOOT + first * SECOND), round(BOOT + last * SECOND), round(step * SECOND))


def test_an_exchange_shows_the_latency_that_arrivals_cannot() -> None:
    clock = DeviceClock()
    assert stamps(clock, seconds(0, 1), 20 * MS)[-1] == 20 * MS  # Nothing tells it from an offset.
    clock.exchange(BOOT + SECOND, SECOND + 5 * MS, BOOT + SECOND + 10 * MS)
    assert stamps(clock, seconds(1.1, 2), 20 * MS)[-1] == 0
    assert clock.round_trip == 10 * MS


def test_an_exchange_that_took_long_is_not_used() -> None:
    clock = DeviceClock()
    clock.exchange(BOOT, 10 * MS, BOOT + 150 * MS)
    clock.exchange(BOOT + SECOND, SECOND, BOOT)  # Back before it was sent.
    assert not clock.synchronised


@pytest.mark.parametrize("leap", [500 * SECOND, -500 * SECOND, 3 * 10**6 * SECOND])
@pytest.mark.parametrize("answered", [True, False])
def test_after_a_leap_stamps_are_of_now(leap: int, answered: bool) -> None:
    clock = DeviceClock()
    stamps(clock, seconds(1000, 1001), 2 * MS)
    if answered:
        now = BOOT + 1001 * SECOND
        clock.exchange(now, 1001 * SECOND + MS, now + 2 * MS)
    errors = stamps(clock, seconds(1001.1, 1002), 2 * MS, BOOT - leap)
    assert clock.jumps == 1
    assert max(map(abs, errors)) <= 2 * MS


def test_messages_that_come_late_keep_their_age() -> None:
    clock = DeviceClock()
    stamps(clock, seconds(0, 1), 2 * MS)
    late = stamps(clock, seconds(1, 1.5), 3 * SECOND)
    assert max(map(abs, late)) <= 2 * MS
    assert clock.jumps == 0


def test_lost_exchanges_leave_the_arrivals() -> None:
    clock = DeviceClock()
    clock.exchange(BOOT, MS, BOOT + 2 * MS)
    stamps(clock, seconds(0.1, 30), 5 * MS)
    assert not clock.synchronised
    assert stamps(clock, seconds(30, 31), 5 * MS)[-1] == 5 * MS


def test_no_stamp_is_after_its_arrival() -> None:
    clock = DeviceClock()
    clock.exchange(BOOT, 0, BOOT + 90 * MS)  # An answer that was slow on the way back.
    for t in seconds(0.1, 1):
        assert clock.stamp(t - BOOT, t + MS) <= t + MS


def test_stamps_of_1970_and_of_the_start_do_not_mix() -> None:
    decoder = Decoder()
    for step in range(100):
        arrival = BOOT + step * 10 * MS
        start = (step + 1) * 10_000
        for microseconds in (start, 1_700_000_000 * 10**6 + start):
            message = dialect.MAVLink_highres_imu_message(
                microseconds, 0, 0, -9.8, 0, 0, 0, *[0] * 7, 63
            )
            event = decoder.decode(message, arrival)
            assert event is not None
            assert event.latency == 0
    assert decoder.clock.jumps == 0


def test_odometry_in_a_frame_that_is_not_north_is_refused_with_a_reason() -> None:
    decoder, q = Decoder(), (1.0, 0.0, 0.0, 0.0)
    for frame, child, quality, quaternion in (
        (20, 12, 0, q), (1, 13, 0, q), (1, 12, -1, q), (1, 12, 0, (0.0, 0.0, 0.0, 0.0)),
    ):  # fmt: skip
        message = dialect.MAVLink_odometry_message(
            1000, frame, child, 0, 0, 0, quaternion, *[0.0] * 6, [0.0] * 21, [0.0] * 21,
            quality=quality,
        )  # fmt: skip
        assert decoder.decode(message, SECOND) is None
    assert decoder.refused == 4
    assert "rotation" in decoder.last_refusal


def test_a_better_imu_takes_the_place_of_another_and_gives_it_back() -> None:
    decoder = Decoder()

    def offer(kind: str, arrival: int) -> bool:
        time = arrival // 1000 if kind != "SCALED_IMU2" else arrival // MS
        if kind == "HIGHRES_IMU":
            message = dialect.MAVLink_highres_imu_message(time, *[0] * 13, 63)
        else:
            message = dialect.MAVLink_scaled_imu2_message(time, *[0] * 9)
        return decoder.decode(message, arrival) is not None

    assert offer("SCALED_IMU2", SECOND)
    assert offer("HIGHRES_IMU", SECOND + MS)
    assert not offer("SCALED_IMU2", SECOND + 2 * MS)
    assert offer("SCALED_IMU2", 3 * SECOND)


def commanded(mode: str = "OFFBOARD", now: int = SECOND) -> AutopilotState:
    return AutopilotState(autopilot=PX4, armed=True, mode=mode, heard=now, heartbeat=now)


def test_the_first_setpoints_begin_at_the_vehicles_velocity_and_slew() -> None:
    authority = Authority()
    authority.update(commanded(), SECOND, Command(SECOND, 1.0))
    speeds = []
    for step in range(1, 40):
        command = authority.begin(Command(0, 2.0), SECOND + step * 20 * MS)
        speeds.append(command.vx)
    # 4 m/s^2 are 0.08 m/s in 20 ms.
    assert speeds[:3] == pytest.approx([1.08, 1.16, 1.24])
    assert speeds[-1] == 2.0
    # Later commands are as they were given: their own slew limits hold.
    assert authority.begin(Command(0, -2.0), 3 * SECOND).vx == -2.0


def test_no_slew_delays_the_operators_stop() -> None:
    authority = Authority()
    authority.update(commanded(), SECOND, Command(SECOND, 1.0))
    stop = Command(0, mode=Mode.STOP, reason="operator stop")
    assert authority.begin(stop, SECOND + MS) == stop
