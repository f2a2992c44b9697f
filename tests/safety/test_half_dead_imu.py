"""An IMU of which a part is dead, and sensors that only look so."""

import numpy as np
import pytest

from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.events import SECOND, Channel, ImuSample
from liquid_nav.onboard import Policy
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav.safety.liveness import ImuLiveness
from liquid_nav.safety.warnings import SensorWarnings
from safety.flights import GRAVITY, MS, Change, Vector, fly, imu_samples


def held(axes: list[int], values: list[float]) -> Change:
    """Hold some of the six axes at values."""

    def change(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
        both = np.concatenate((rate, force))
        both[axes] = values
        return both[:3], both[3:]

    return change


DEAD = {
    "gyro zero": (held([0, 1, 2], [0, 0, 0]), "frozen: angular velocity unchanged"),
    "gyro constant": (held([0, 1, 2], [0.1, -0.2, 0.05]), "frozen: angular velocity unchanged"),
    "gyro at its limit": (held([0, 1, 2], [34.9] * 3), "frozen: angular velocity unchanged"),
    "one axis at its limit": (held([1], [34.9]), "frozen: angular velocity y unchanged"),
    "one axis zero": (held([0], [0.0]), "frozen: angular velocity x unchanged"),
    "two axes stuck": (held([0, 2], [0.02, 0.03]), "frozen: angular velocity x, z unchanged"),
    "accelerometer zero": (held([3, 4, 5], [0, 0, 0]), "frozen: specific force unchanged"),
    "accelerometer stuck": (
        held([3, 4, 5], [0.1, 0.2, 9.7]),
        "frozen: specific force unchanged",
    ),
    "its up axis stuck": (held([5], [9.81]), "frozen: specific force z unchanged"),
    "its x axis at 16 g": (held([3], [156.9]), "frozen: specific force x unchanged"),
    "both stuck": (held(list(range(6)), [0.01] * 5 + [9.8]), "frozen: unchanged for more than"),
    "limit with changing sign": (
        lambda w, f, t: (np.full(3, 34.9) * (-1) ** round(t * 200), f),
        "saturated: angular velocity at 34.9 rad/s",
    ),
    "halves in turn": (
        lambda w, f, t: (w, 0 * f) if round(t * 200) % 2 else (0 * w, f),
        "half a measurement: ",
    ),
}


@pytest.mark.parametrize("after", [0.0, 1.0])
@pytest.mark.parametrize("fault", DEAD)
def test_a_dead_part_of_the_imu_is_refused_and_hovers(
    flow_policy: Policy, fault: str, after: float
) -> None:
    change, reason = DEAD[fault]
    controller = Controller(flow_policy)
    modes = fly(controller, imu_samples(3.0, change, after))
    assert controller.health.channels[Channel.IMU].last_rejection.startswith(reason)
    # It takes 0.1 s to be frozen and 0.1 s to be stale; a sensor that never lived takes longer.
    assert modes[-1][1] != "nominal"
    assert next(t for t, mode in modes if mode == "hover" and t >= after) < after + 1.5


@pytest.mark.parametrize("fault", DEAD)
def test_the_flight_goes_on_when_the_part_lives_again(flow_policy: Policy, fault: str) -> None:
    change, _ = DEAD[fault]
    controller = Controller(flow_policy)

    def for_a_second(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
        return change(rate, force, t) if t < 2.0 else (rate, force)

    modes = fly(controller, imu_samples(3.0, for_a_second, after=1.0))
    assert "hover" in [mode for t, mode in modes if t > 0.5]
    assert controller.health.mode is Mode.NOMINAL


def rounded(rate_step: float, force_step: float) -> Change:
    """A sensor of this resolution."""

    def change(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
        return np.round(rate / rate_step) * rate_step, np.round(force / force_step) * force_step

    return change


def sampled_and_held(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
    """The accelerometer of a camera is four times slower than its gyroscope."""
    slow = np.floor(t * 50 + 1e-6)
    return rate, np.array([0.3 * np.sin(slow), 0.2 * np.cos(slow), GRAVITY + np.sin(2 * slow)])


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    "change",
    [
        rounded(0.001, 0.005),
        rounded(0.02, 0.05),
        lambda w, f, t: (w.astype(np.float32), f.astype(np.float32)),
        sampled_and_held,
    ],
    ids=["16 bit", "coarse", "float32", "sampled and held"],
)
def test_a_coarse_sensor_is_not_dead(flow_policy: Policy, change: Change, noise: float) -> None:
    controller = Controller(flow_policy)
    fly(controller, imu_samples(6.0, change, noise=noise))
    assert controller.health.channels[Channel.IMU].rejected == 0
    assert controller.health.mode is Mode.NOMINAL


@pytest.mark.parametrize(
    ("dead", "latest"), [("gyro zero", 0.5), ("accelerometer stuck", 0.5), ("its up axis stuck", 2)]
)
def test_a_dead_part_of_a_coarse_sensor_is_refused_too(
    flow_policy: Policy, dead: str, latest: float
) -> None:
    coarse, (change, reason) = rounded(0.001, 0.005), DEAD[dead]
    controller = Controller(flow_policy)
    modes = fly(
        controller,
        imu_samples(
            4.0,
            lambda w, f, t: change(*coarse(w, f, t), t) if t > 1.0 else coarse(w, f, t),
        ),
    )
    assert controller.health.channels[Channel.IMU].last_rejection.startswith(reason)
    assert 1.0 < next(t for t, mode in modes if mode == "hover" and t > 0.5) < 1.0 + latest


@pytest.mark.parametrize("still", [(0, 2, 4), (1, 2, 3), (0, 1, 3, 4), (0, 1, 3, 4, 5)])
def test_without_noise_an_axis_that_does_not_move_is_not_dead(still: tuple[int, ...]) -> None:
    """A simulator that flies straight or turns in place, in a plane."""
    warnings = SensorWarnings()
    liveness = ImuLiveness(warnings)
    for sample in imu_samples(6.0, noise=0.0):
        numbers = sample.angular_velocity.tolist() + sample.specific_force.tolist()
        for axis in still:
            numbers[axis] = GRAVITY if axis == 5 else 0.0
        assert liveness.objection(numbers, sample.stamp, 0.1) == ""
    assert warnings.of(Channel.IMU) == ()


def on_the_ground(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
    """A gyroscope whose driver gives zero for all that is small; the accelerometer has noise."""
    noise = np.random.default_rng(round(t * 1000)).normal(size=3)
    return np.zeros(3), np.array([0, 0, GRAVITY]) + 0.01 * noise


def test_a_gyroscope_with_a_dead_band_may_stand_on_the_ground(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    # It stands on the ground, flies, and lands.
    for start, change in ((0.0, on_the_ground), (5.0, None), (10.0, on_the_ground)):
        fly(controller, imu_samples(5.0, change, start=start))
        assert controller.health.channels[Channel.IMU].rejected == 0, start
    assert controller.health.mode is Mode.NOMINAL
    assert "angular velocity stands still" in controller.health.channels[Channel.IMU].warnings[0]


def test_a_sensor_that_is_clipped_now_and_then_is_warned_about(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)

    def shaken(rate: Vector, force: Vector, t: float) -> tuple[Vector, Vector]:
        return rate, np.clip(force + 40 * np.sin(200 * t), -39.2, 39.2)

    fly(controller, imu_samples(2.0, shaken))
    assert controller.health.mode is Mode.NOMINAL
    (warning,) = controller.health.channels[Channel.IMU].warnings
    assert warning.startswith("specific force at 39.2 m/s^2 again and again and never above")


def test_a_source_without_noise_is_left_out(flow_policy: Policy) -> None:
    controller = Controller(flow_policy, SafetyConfig(frozen={}))
    fly(controller, imu_samples(3.0, DEAD["gyro zero"][0]))
    assert controller.health.channels[Channel.IMU].rejected == 0


def test_a_reset_forgets_the_past_of_the_sensor(flow_policy: Policy) -> None:
    controller = Controller(flow_policy)
    fly(controller, imu_samples(2.0, DEAD["gyro zero"][0], after=1.0))
    controller.reset()
    assert controller.health.channels[Channel.IMU].warnings == ()
    fly(controller, imu_samples(1.0))
    assert controller.health.channels[Channel.IMU].rejected == 0
    assert controller.health.mode is Mode.NOMINAL


@pytest.mark.parametrize("dead", ["gyro zero", "its up axis stuck"])
def test_late_and_repeated_samples_do_not_confuse_the_check(flow_policy: Policy, dead: str) -> None:
    controller = Controller(flow_policy)
    good = list(imu_samples(2.0))
    swapped = [sample for a, b in zip(good[1::2], good[::2], strict=True) for sample in (a, b, b)]
    for sample in swapped:
        controller.on_event(ImuSample(sample.stamp, 2 * SECOND, *_values(sample)))
    assert controller.health.channels[Channel.IMU].rejected == 0
    change, reason = DEAD[dead]
    for sample in imu_samples(1.0, change, start=2.0 + MS / SECOND):
        controller.on_event(sample)
    assert controller.health.channels[Channel.IMU].last_rejection.startswith(reason)


def _values(sample: ImuSample) -> tuple[Vector, Vector]:
    return sample.angular_velocity, sample.specific_force
