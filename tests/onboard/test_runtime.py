"""The native runtime gives TorchScript's commands; what it cannot evaluate, TorchScript does."""

import importlib.resources
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.liquid import AutoNCP
from liquid_nav.onboard import (
    Memory,
    Policy,
    PolicyCamera,
    PolicyConfig,
    RawCommand,
    load_policy,
    native,
)
from liquid_nav.onboard.encoders import CameraEncoder, ImuEncoder
from liquid_nav.onboard.runtime import NativeRuntime
from liquid_nav.policy import PolicyNetwork, make_policy
from liquid_nav.policy.encoders import CameraModule
from liquid_nav.policy.scripted import ScriptedRuntime, folded
from support import frame, sample, small_network

MILLISECOND = 1_000_000

needs_kernel = pytest.mark.skipif(native.kernel is None, reason="the native kernel is not built")

# Camera sides and channels that are no multiples of a vector, strides that leave an odd row.
UNEVEN_EYE = CameraEncoder(12, PolicyCamera(37, 23), convolutions=(5, 18, 3))
UNEVEN = PolicyConfig(
    (UNEVEN_EYE, ImuEncoder(7)),
    cell="ltc",
    units=13,
    cell_options={"wiring": AutoNCP(13, 3, seed=1).to_dict()},
)


def pair(name: str) -> tuple[Policy, Policy]:
    """One network, natively and by TorchScript."""
    if name == "shipped":
        path = Path(str(importlib.resources.files("liquid_nav_models") / "target"))
        ours, manifest = load_policy(path)
        script = torch.jit.load(str(path / "policy.pt"))
        return ours, make_policy(manifest.config, script, native=False)
    if name == "uneven":
        torch.manual_seed(5)
        config, network = UNEVEN, PolicyNetwork(UNEVEN)
    else:
        config, network = small_network(name)
    return make_policy(config, network), make_policy(config, network, native=False)


@pytest.fixture(scope="module", params=["liquid_flow", "ltc", "uneven", "shipped"])
def policies(request: pytest.FixtureRequest) -> tuple[Policy, Policy]:
    return pair(request.param)


def flown(
    policy: Policy, steps: list[tuple[bool, int, int, int]]
) -> list[tuple[Memory, RawCommand]]:
    """Memory and command after every event (is a frame, seed, dt, age), and a query's command."""
    camera = policy.config.camera
    memory, noted = policy.initial(), []
    for is_frame, seed, dt, age in steps:
        event = sample(0.0, 0.0, seed)
        if is_frame:
            image = np.random.default_rng(seed).integers(
                0, 256, (camera.height, camera.width, 3), np.uint8
            )
            event = replace(frame(0.0), image=image)
        memory, command = policy.on_event(memory, event, dt, age)
        noted += [(memory, command), (memory, policy.query(memory, dt))]
    return noted


TIMES = st.sampled_from([0, 1, MILLISECOND, 5 * MILLISECOND, 33 * MILLISECOND, 10**9, 10**12])
# An age of hours makes features so large that float32 rounds them by more than is tested for.
AGES = st.sampled_from([0, 1, MILLISECOND, 33 * MILLISECOND, 300 * MILLISECOND])
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 99), TIMES, AGES), min_size=1, max_size=12)


@needs_kernel
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_native_is_torchscript(
    policies: tuple[Policy, Policy], steps: list[tuple[bool, int, int, int]]
) -> None:
    ours, theirs = policies
    assert isinstance(ours.runtime, NativeRuntime)
    assert isinstance(theirs.runtime, ScriptedRuntime)
    for (memory, command), (expected, commanded) in zip(
        flown(ours, steps), flown(theirs, steps), strict=True
    ):
        np.testing.assert_allclose(command, commanded, atol=1e-5)
        np.testing.assert_allclose(memory.state, expected.state, atol=1e-5)
        np.testing.assert_allclose(memory.latch, expected.latch, rtol=1e-5, atol=1e-5)


@needs_kernel
def test_a_whole_flight_natively_is_that_of_torchscript() -> None:
    ours, theirs = pair("shipped")
    steps = [(k % 7 == 0, k, 5 * MILLISECOND, (k % 7 == 0) * 40 * MILLISECOND) for k in range(4000)]
    apart = [
        np.abs(np.subtract(command, commanded)).max()
        for (_, command), (_, commanded) in zip(
            flown(ours, steps), flown(theirs, steps), strict=True
        )
    ]
    assert max(apart) < 1e-5


def test_the_same_events_give_the_same_bits(policies: tuple[Policy, Policy]) -> None:
    steps = [(k % 3 == 0, k, 7 * MILLISECOND, k * MILLISECOND) for k in range(30)]
    for policy in policies:
        first, again = flown(policy, steps), flown(policy, steps)
        assert [command for _, command in first] == [command for _, command in again]
        for (memory, _), (repeated, _) in zip(first, again, strict=True):
            assert np.array_equal(memory.state, repeated.state)
            assert np.array_equal(memory.latch, repeated.latch)


def test_time_constants_are_those_of_torchscript(policies: tuple[Policy, Policy]) -> None:
    ours, theirs = policies
    steps = [(k % 3 == 0, k, 7 * MILLISECOND, k * MILLISECOND) for k in range(30)]
    for memory, _ in flown(ours, steps):
        state, constants = ours.core_state(memory)
        expected, slow = theirs.core_state(memory)
        assert state == expected
        np.testing.assert_allclose(constants, slow, rtol=2e-5)


def test_memories_of_two_flights_do_not_touch(policies: tuple[Policy, Policy]) -> None:
    policy, _ = policies
    initial = policy.initial()
    alone, _ = policy.on_event(initial, sample(0.0, 0.0, 1), 0, 0)
    kept = (alone.state.copy(), alone.latch.copy())
    policy.query(alone, 10**9)
    other, _ = policy.on_event(initial, sample(0.0, 0.0, 2), 10**9, 0)
    policy.on_event(other, sample(0.0, 0.0, 3), 10**9, 0)
    assert np.array_equal(alone.state, kept[0])
    assert np.array_equal(alone.latch, kept[1])
    assert not np.any(policy.initial().latch)


@needs_kernel
@pytest.mark.parametrize("cell", ["cfc", "ctrnn", "gru", "lstm"])
def test_other_cells_fly_by_torchscript(cell: str) -> None:
    policy = make_policy(*small_network(cell))
    assert isinstance(policy.runtime, ScriptedRuntime)
    assert len(flown(policy, [(True, 0, 0, 0), (False, 1, 10**7, 0)])) == 4


@pytest.mark.parametrize(
    ("cell", "options"), [("ltc", {"solver": "rk4"}), ("liquid_flow", {"hidden": 8})]
)
def test_forms_without_a_native_step_fly_by_torchscript(cell: str, options: dict[str, str]) -> None:
    config = replace(small_network(cell)[0], cell_options=options)
    assert isinstance(make_policy(config, PolicyNetwork(config)).runtime, ScriptedRuntime)


def test_without_the_kernel_torchscript_flies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "kernel", None)
    assert isinstance(make_policy(*small_network()).runtime, ScriptedRuntime)


class Trained(PolicyNetwork):
    """A type of its own, hence with graphs that no other test has had TorchScript optimise."""


def test_a_network_that_was_trained_as_a_script_flies() -> None:
    config, _ = small_network()
    network = torch.jit.script(Trained(config))
    image = torch.zeros((1, config.camera.height, config.camera.width, 3), dtype=torch.uint8)
    state, latch = network.initial(1)
    for _ in range(3):
        _, _, command = network.on_event(
            state, latch, torch.zeros(1), "camera", image, torch.zeros(1)
        )
        command.sum().backward()
    policy = make_policy(config, network, native=False)
    memory, command = policy.on_event(policy.initial(), frame(0.0), 0, 0)
    assert np.isfinite(command).all()
    assert np.isfinite(policy.query(memory, MILLISECOND)).all()


class Reversed(PolicyNetwork):
    """A network of another version: same weights, another function."""

    def forward(self, state: torch.Tensor, latch: torch.Tensor) -> torch.Tensor:
        """Turn the commands round."""
        return -torch.tanh(self.head(torch.cat((state, latch), dim=-1))) * self.scale


def test_torchscript_overrules_a_native_path_that_differs() -> None:
    config, _ = small_network()
    torch.manual_seed(0)
    policy = make_policy(config, Reversed(config))
    assert isinstance(policy.runtime, ScriptedRuntime)


@needs_kernel
def test_weights_that_are_not_finite_are_seen_in_the_command() -> None:
    config, network = small_network()
    healthy = make_policy(config, network).runtime
    assert isinstance(healthy, NativeRuntime)
    with torch.no_grad():
        network.encoders["imu"].dense.bias.fill_(float("nan"))
    broken = NativeRuntime(config, folded(network))
    memory, command = broken.on_event(broken.initial(), Channel.IMU, 0.0, [0.0] * 6, 0.0)
    assert np.isnan(command).all()
    _, command = broken.on_event(memory, Channel.IMU, 0.01, [0.0] * 6, 0.0)
    assert np.isnan(command).all()


@needs_kernel
@pytest.mark.parametrize("instruction_set", native.available())
@pytest.mark.parametrize("convolutions", [(1,), (16,), (5, 18, 3), (16, 24, 32, 32)])
def test_every_instruction_set_encodes_frames(
    instruction_set: str, convolutions: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "kernel", native.select(instruction_set))
    torch.manual_seed(2)
    encoder = replace(UNEVEN_EYE, convolutions=convolutions)
    module = CameraModule(encoder)
    camera = encoder.onboard(module.fold())
    for seed, age in enumerate((0.0, 0.04, 1e3)):
        image = np.random.default_rng(seed).integers(0, 256, (23, 37, 3), np.uint8)
        with torch.no_grad():
            expected = module(torch.from_numpy(image[None]), torch.tensor([age]))[0].numpy()
        np.testing.assert_allclose(camera(image, age), expected, rtol=1e-5, atol=1e-5)


@needs_kernel
def test_a_native_camera_wants_float32_and_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    module = CameraModule(UNEVEN_EYE)
    arrays = module.fold()
    with pytest.raises(ConfigError, match="must be float32"):
        UNEVEN_EYE.onboard(module.double().fold())
    monkeypatch.setattr(native, "kernel", None)
    with pytest.raises(ConfigError, match="not built or switched off"):
        UNEVEN_EYE.onboard(arrays)
