"""Channels that a policy flies without, and uses while they come."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from liquid_nav.command import Mode
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, Channel, Event, RangeSample
from liquid_nav.onboard import Policy, PolicyConfig
from liquid_nav.onboard.encoders import CameraEncoder, ImuEncoder, RangeEncoder
from liquid_nav.policy import PolicyNetwork, make_policy
from liquid_nav.safety.layer import SafetyConfig, Staleness
from support import frame, sample

CONFIG = PolicyConfig(
    (CameraEncoder(8, convolutions=(4, 4, 4)), ImuEncoder(6), RangeEncoder(4)),
    units=12,
    optional=("range",),
)
MS = SECOND // 1000
HOVER = SECOND // 2
"""Age at which a range expires by default, ns."""
NATIVE = pytest.mark.parametrize("native", [True, False], ids=["native", "torchscript"])


def policy_of(native: bool = True, config: PolicyConfig = CONFIG) -> Policy:
    torch.manual_seed(0)
    network = PolicyNetwork(config)
    with torch.no_grad():
        network.head.weight.mul_(3.0)
    return make_policy(config, network.eval(), native=native)


def distance(stamp: float, latency: float = 0.0, metres: float = 2.0) -> RangeSample:
    start = round(stamp * SECOND)
    return RangeSample(start, start + round(latency * SECOND), metres)


def needed(end: float, begin: float = 0.0) -> list[Event]:
    """Frames and IMU samples, in order, off the instants of the ranges."""
    steps = range(round(begin * 100), round(end * 100))
    return [
        event(0.01 * k + 0.001, seed=k)
        for k in steps
        for event in ((frame, sample) if k % 4 == 0 else (sample,))
    ]


def flown(controller: Controller, events: list[Event]) -> Controller:
    for event in sorted(events, key=lambda event: event.arrival):
        controller.on_event(event)
    return controller


def latched(controller: Controller) -> bool:
    """Whether a range is in the latch."""
    return bool(controller.memory.latch[CONFIG.layout[Channel.RANGE]].any())


def test_the_configuration_says_what_is_optional() -> None:
    content = json.loads(json.dumps(CONFIG.to_dict()))
    assert content["optional"] == ["range"]
    assert PolicyConfig.from_dict(content) == CONFIG
    del content["optional"]
    assert PolicyConfig.from_dict(content) == replace(CONFIG, optional=())
    policy = policy_of()
    assert policy.channels - policy.needed == {Channel.RANGE}


@pytest.mark.parametrize(
    ("optional", "message"),
    [
        (("sonar",), "optional of a policy must be channels that it reads"),
        (("camera", "imu", "range"), "must need at least one channel"),
    ],
)
def test_an_optional_channel_must_be_read_and_not_all_are_optional(
    optional: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, optional=optional)


@NATIVE
def test_a_policy_flies_without_an_optional_channel_and_uses_it_when_it_comes(
    native: bool,
) -> None:
    without = flown(Controller(policy_of(native)), needed(1.0))
    assert without.health.mode is Mode.NOMINAL
    assert not latched(without)
    used = flown(Controller(policy_of(native)), [*needed(1.0), distance(0.9)])
    assert latched(used)
    now = round(0.992 * SECOND)
    assert used.command(now).vector != without.command(now).vector
    silent = flown(used, needed(4.0, begin=1.0))
    assert silent.health.mode is Mode.NOMINAL
    assert not latched(silent)


@NATIVE
def test_silence_clears_the_latch_at_the_instant_of_its_age(native: bool) -> None:
    policy = policy_of(native)
    events = [*needed(1.0), distance(0.9, 0.02)]
    controller = flown(Controller(policy), events)
    expiry = round(0.9 * SECOND) + HOVER + 1
    last = controller.health.time
    assert last is not None
    memory = controller.memory
    held = policy.query(memory, expiry - 1 - last)
    assert policy.query(memory, expiry - last) != pytest.approx(
        policy.query(policy.clear(memory, Channel.RANGE, expiry - last), 0), abs=1e-4
    )
    lax = SafetyConfig(staleness={c: Staleness(9, 9) for c in policy.needed}, cross_checks=False)
    controller = flown(Controller(policy, lax), events)
    assert raw(controller, expiry - 1) == pytest.approx(held, abs=1e-6)
    cleared = policy.clear(memory, Channel.RANGE, expiry - last)
    assert raw(controller, expiry) == policy.query(cleared, 0)
    assert raw(controller, expiry + 70 * MS) == policy.query(cleared, 70 * MS)
    # The next event starts from the same memory, whoever asked before it.
    controller.on_event(sample(1.5))
    assert not latched(controller)
    expected, _ = policy.on_event(cleared, sample(1.5), round(1.5 * SECOND) - expiry, 0)
    assert (controller.memory.state == expected.state).all()


def raw(controller: Controller, now: int) -> Any:
    """The policy's own command, before limits."""
    return controller._inference.raw_at(now)


def test_queries_are_pure_and_a_replay_gives_the_same_commands() -> None:
    events = [
        *needed(3.0),
        *(distance(0.1 * k, metres=1 + 0.1 * k) for k in range(8)),
        distance(2.4),
    ]
    asked, quiet = Controller(policy_of()), Controller(policy_of())
    commands = []
    for event in sorted(events, key=lambda event: event.arrival):
        for controller in (asked, quiet):
            controller.on_event(event)
        for later in (0, 3, 9, 400, 800):
            asked.command(event.arrival + later * MS)
        commands.append([c.command(event.arrival).vector for c in (asked, quiet)])
    assert all(a == b for a, b in commands)
    assert (asked.memory.state == quiet.memory.state).all()


def test_a_measurement_that_is_too_old_on_arrival_is_not_used() -> None:
    controller = flown(Controller(policy_of()), [*needed(1.0), distance(0.3, latency=0.6)])
    assert not latched(controller)
    assert controller.health.channels[Channel.RANGE].accepted == 1


def test_an_older_measurement_does_not_expire_before_the_newest() -> None:
    late = distance(0.5, latency=0.45)
    events = [*needed(1.2), distance(0.9), late]
    assert latched(flown(Controller(policy_of()), events))
    assert not latched(flown(Controller(policy_of()), [*events, *needed(1.5, begin=1.2)]))


def test_a_change_of_the_age_in_flight_holds_from_then_on() -> None:
    controller = flown(Controller(policy_of()), [*needed(1.0), distance(0.9)])
    settings = SafetyConfig()
    ages = dict(settings.staleness)
    shorter = replace(settings, staleness=ages | {Channel.RANGE: Staleness(0.05, 2)})
    longer = replace(settings, staleness=ages | {Channel.RANGE: Staleness(1.5, 2)})
    controller.reconfigure(longer, SECOND)
    assert latched(flown(controller, needed(2.3, begin=1.01)))
    controller.reconfigure(shorter, round(2.31 * SECOND))
    assert not latched(flown(controller, needed(2.4, begin=2.32)))
    controller.reconfigure(longer, round(2.41 * SECOND))
    assert not latched(flown(controller, needed(2.5, begin=2.42)))


def test_a_fault_of_the_policy_forgets_the_optional_channels_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = policy_of()
    controller = flown(Controller(policy), [*needed(1.4), distance(0.9)])
    with monkeypatch.context() as broken:
        broken.setattr(policy, "clear", lambda *_: 1 / 0)
        assert controller.command(round(1.41 * SECOND)).reason.startswith("policy: ZeroDivision")
        controller.on_event(sample(1.42))
    assert controller.health.policy_faults == 2
    assert not latched(controller)
    assert flown(controller, needed(2.5, begin=1.43)).health.mode is Mode.NOMINAL


def test_training_sees_the_same_as_an_event_whose_features_are_zeros() -> None:
    """`PolicyNetwork.clear` is `on_event` with zeros in place of the features of the channel."""
    torch.manual_seed(0)
    network = PolicyNetwork(CONFIG)
    state, latch = torch.rand(3, 12) - 0.5, torch.rand(3, 18)
    dt, age = torch.tensor([0.0, 0.1, 3.0]), torch.zeros(3)
    cleared = network.clear(state, latch, dt, "range")
    with torch.no_grad():
        for weights in network.encoders["range"].parameters():
            weights.zero_()
    expected = network.on_event(state, latch, dt, "range", torch.rand(3, 3), age)[:2]
    assert all(torch.equal(a, b) for a, b in zip(cleared, expected, strict=True))
    assert not cleared[1][:, CONFIG.layout[Channel.RANGE]].any()
