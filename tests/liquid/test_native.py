"""The native kernel and the scans: the same numbers on every path, and the laws on each of them."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import LiquidCell, make_cell
from liquid_nav.onboard import NativeStep, native
from liquid_reference import seeded_cell

BUILT = native.available()
PATHS = ("torch", *BUILT)
needs_kernel = pytest.mark.skipif(not BUILT, reason="the native kernel is not built")
NATIVE_CASES: list[tuple[str, dict[str, Any]]] = [
    ("liquid_flow", {}),
    ("liquid_flow", {"gates": "input"}),
    ("liquid_flow", {"lipschitz": 0.7}),
    ("ltc", {}),
    ("ltc", {"max_step": 0.1, "max_substeps": 3, "tau_min": 0.1}),
]
each_cell = pytest.mark.parametrize(("name", "options"), NATIVE_CASES, ids=str)
each_path = pytest.mark.parametrize("path", PATHS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
some = settings(max_examples=30, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    kernel = native.kernel
    yield
    native.kernel = kernel


def use(path: str) -> None:
    native.kernel = native.select("0" if path == "torch" else path)


def example(
    cell: LiquidCell, batch: int, length: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, irregular gaps (none, of one substep, of several, of very many) and states."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(cell.parameters()).dtype
    u = torch.randn(batch, length, cell.input_size, generator=generator, dtype=dtype)
    gaps = torch.tensor([0.0, 0.0013, 0.0171, 0.0333, 0.213, 40.007], dtype=dtype)
    dt = gaps[torch.randint(len(gaps), (batch, length), generator=generator)]
    low, high, _, _ = cell.bounds()
    share = torch.rand(batch, cell.units, generator=generator, dtype=dtype)
    return u, dt, torch.lerp(low, high, share)


def started(cell: LiquidCell) -> NativeStep:
    """The onboard form of a cell that has one, as the kernel runs it."""
    folded = cell.fold()
    assert folded is not None
    step = folded.start()
    assert isinstance(step, NativeStep)
    return step


def states_and_gradients(cell: LiquidCell, u: Tensor, dt: Tensor, v: Tensor) -> list[Tensor]:
    """States, then the gradients of a weighted sum of them: of u, dt, v and all parameters."""
    leaves = [x.detach().clone().requires_grad_() for x in (u, dt, v)]
    states, last = cell(*leaves)
    weights = torch.linspace(-1.0, 2.0, states.numel(), dtype=u.dtype).view_as(states)
    parameters = list(cell.parameters())
    grads = torch.autograd.grad((weights * states).sum() + last.sum(), [*leaves, *parameters])
    return [states.detach(), *grads]


def plain_loop(cell: LiquidCell, u: Tensor, dt: Tensor, v: Tensor) -> list[Tensor]:
    """As `states_and_gradients`, by TorchScript and its own autograd."""
    return states_and_gradients(torch.jit.script(cell), u, dt, v)  # type: ignore[arg-type]


@each_dtype
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ltc", {}),
        ("ltc", {"max_step": 0.01, "max_substeps": 4}),
        ("liquid_flow", {}),
        ("liquid_flow", {"gates": "input"}),
    ],
    ids=str,
)
@given(
    batch=st.integers(1, 9),
    length=st.integers(1, 6),
    inputs=st.integers(1, 19),
    units=st.integers(1, 35),
    seed=st.integers(0, 1000),
)
@some
def test_every_path_gives_the_same_states(
    name: str,
    options: dict[str, Any],
    dtype: torch.dtype,
    batch: int,
    length: int,
    inputs: int,
    units: int,
    seed: int,
) -> None:
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    # Single precision adds up its rounding along substeps; the plain loop in double is the truth.
    cell = seeded_cell(name, options, inputs, units, dtype)
    u, dt, v = example(cell, batch, length, seed)
    true, _ = copy.deepcopy(cell).double()(u.double(), dt.double(), v.double())
    with torch.no_grad():
        for path in PATHS:
            use(path)
            states, last = cell(u, dt, v)
            assert torch.equal(states[:, -1], last)
            torch.testing.assert_close(
                states, true.detach().to(dtype), rtol=tolerance, atol=2 * tolerance
            )
            stepped = cell.step(u[:, 0], v, dt[:, 0])
            torch.testing.assert_close(stepped, states[:, 0], rtol=tolerance, atol=2 * tolerance)


@each_cell
@each_path
def test_gradients_equal_those_of_the_plain_loop(
    name: str, options: dict[str, Any], path: str
) -> None:
    cell = seeded_cell(name, options, input_size=5, units=18)
    u, dt, v = example(cell, 7, 6)
    expected = plain_loop(cell, u, dt, v)
    use(path)
    for ours, theirs in zip(states_and_gradients(cell, u, dt, v), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@each_cell
@each_path
def test_single_precision_gradients_are_those_of_double(
    name: str, options: dict[str, Any], path: str
) -> None:
    cell = seeded_cell(name, options, input_size=5, units=18)
    u, dt, v = (x.float() for x in example(cell, 7, 6))
    expected = states_and_gradients(cell, u.double(), dt.double(), v.double())
    use(path)
    cell = copy.deepcopy(cell).float()
    for ours, theirs in zip(states_and_gradients(cell, u, dt, v), expected, strict=True):
        scale = theirs.abs().amax().item()
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5 * scale)


@each_cell
@each_path
def test_gradients_are_those_of_finite_differences(
    name: str, options: dict[str, Any], path: str
) -> None:
    use(path)
    cell = seeded_cell(name, options, input_size=2, units=3)
    names = [key for key, _ in cell.named_parameters()]
    u, _, v = example(cell, 2, 3)
    dt = torch.tensor([[0.004, 0.05, 0.013], [0.031, 0.713, 0.0011]]).double()

    def states(u: Tensor, dt: Tensor, v: Tensor, *values: Tensor) -> Tensor:
        overrides = dict(zip(names, values, strict=True))
        result: Tensor = torch.func.functional_call(cell, overrides, (u, dt, v))[0]
        return result

    leaves = [x.clone().requires_grad_() for x in (u, dt, v)]
    assert torch.autograd.gradcheck(states, (*leaves, *cell.parameters()))


@each_path
def test_at_a_whole_substep_the_gradient_of_dt_is_the_one_from_below(path: str) -> None:
    use(path)
    cell = seeded_cell("ltc", {"max_step": 0.125})
    u, _, v = example(cell, 1, 1)
    slopes = []
    for elapsed in (0.125 - 1e-9, 0.125):
        dt = torch.tensor([[elapsed]], dtype=torch.float64, requires_grad=True)
        slopes.append(torch.autograd.grad(cell(u, dt, v)[0].sum(), dt)[0].item())
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-6)


@each_dtype
@each_cell
@each_path
def test_no_time_is_the_exact_identity(
    name: str, options: dict[str, Any], path: str, dtype: torch.dtype
) -> None:
    use(path)
    cell = seeded_cell(name, options, 3, 21, dtype)
    u, _, v = example(cell, 6, 4)
    states, _ = cell(u, torch.zeros(6, 4, dtype=dtype), v)
    assert torch.equal(states, v.unsqueeze(1).expand_as(states))


@each_dtype
@each_cell
@each_path
@pytest.mark.parametrize("loudness", [0.0, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("gap", [0.0, 1e-9, 1e6])
def test_nothing_leaves_its_bounds_or_becomes_nan(
    name: str, options: dict[str, Any], path: str, dtype: torch.dtype, loudness: float, gap: float
) -> None:
    use(path)
    cell = seeded_cell(name, options, 3, 21, dtype)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(30.0)
    u, dt, v = example(cell, 6, 4)
    dt[:, 1:3] = gap
    low, high, _, _ = cell.bounds()
    for values in states_and_gradients(cell, loudness * u, dt, v):
        assert not torch.isnan(values).any()
    states = cell(loudness * u, dt, v)[0]
    assert torch.all((states >= low) & (states <= high))


@each_path
def test_what_a_huge_input_saturates_has_no_gradient(path: str) -> None:
    use(path)
    cell = seeded_cell("ltc", {}, dtype=torch.float32)
    u, dt, v = example(cell, 2, 2)
    _, u_grad, *_ = states_and_gradients(cell, 1e30 * u, dt, v)
    assert torch.equal(u_grad, torch.zeros_like(u))
    _, sigma_grad = (states_and_gradients(cell, -1e30 * u.abs(), dt, v)[k] for k in (0, 7))
    assert torch.equal(sigma_grad, torch.zeros_like(sigma_grad))


@each_cell
@each_path
def test_the_same_call_gives_the_same_bits(name: str, options: dict[str, Any], path: str) -> None:
    use(path)
    cell = seeded_cell(name, options, 5, 18, torch.float32)
    sequence = example(cell, 7, 6)
    first = states_and_gradients(cell, *sequence)
    for once, again in zip(first, states_and_gradients(cell, *sequence), strict=True):
        assert torch.equal(once, again)


@each_path
def test_elements_of_a_batch_do_not_depend_on_each_other(path: str) -> None:
    use(path)
    cell = seeded_cell("ltc", {}, 5, 18, torch.float32)
    u, dt, v = example(cell, 9, 4)
    together = cell(u, dt, v)[0]
    if path != "torch":
        assert torch.equal(cell(u[3:4], dt[3:4], v[3:4])[0], together[3:4])


@each_cell
@each_path
def test_tensors_need_not_be_contiguous(name: str, options: dict[str, Any], path: str) -> None:
    use(path)
    cell = seeded_cell(name, options, 5, 18)
    u, dt, v = example(cell, 7, 6)
    scattered = (
        u.permute(2, 1, 0).contiguous().permute(2, 1, 0),
        dt.t().contiguous().t(),
        v.t().contiguous().t(),
    )
    pairs = zip(
        states_and_gradients(cell, u, dt, v),
        states_and_gradients(cell, *scattered),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@each_path
@pytest.mark.parametrize("name", ["ltc", "liquid_flow"])
def test_a_long_sequence_saves_little(name: str, path: str) -> None:
    use(path)
    cell = make_cell(name, 64, 32)
    u = torch.rand(32, 300, 64)
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        cell(u, torch.full((32, 300), 0.01), cell.initial_state(32))
    assert 0 < sum(saved.values()) < 15e6


@needs_kernel
@each_dtype
@each_cell
def test_a_native_step_is_the_step_of_the_cell(
    name: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    cell = seeded_cell(name, options, 5, 18, dtype)
    for path in BUILT:
        use(path)
        step = started(cell)
        v = cell.initial_state(1)
        for seed, dt in enumerate((0.0, 0.004, 0.3, 1e6)):
            u, _, _ = example(cell, 1, 1, seed)
            step.input[:] = u[0, 0].numpy()
            before = step.state.copy()
            expected = cell.step(u[:, 0], v, torch.tensor([dt], dtype=dtype)).detach()
            np.testing.assert_allclose(
                step.flow(dt), expected[0].numpy(), rtol=tolerance, atol=tolerance
            )
            assert np.array_equal(step.state, before), "asking changes nothing"
            step.advance(dt)
            assert (dt == 0.0) == np.array_equal(step.state, before)
            v = expected


@needs_kernel
def test_a_native_step_refuses_what_it_cannot_do() -> None:
    step = started(seeded_cell("ltc", {}))
    for bad in (-1e-3, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="dt must be finite seconds, not negative"):
            step.flow(bad)
    with pytest.raises(TypeError, match="copy or pickle what it was made of"):
        copy.deepcopy(step)
    native.kernel = None
    with pytest.raises(ConfigError, match="not built or switched off"):
        started(seeded_cell("ltc", {}))


@needs_kernel
def test_a_library_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "VERSION", native.VERSION + 1)
    with pytest.warns(UserWarning, match="has another version than"):
        assert native.select("") is None


@needs_kernel
def test_the_widest_instruction_set_is_taken_unless_told() -> None:
    widest = native.select("")
    assert widest is not None
    assert widest.instruction_set == BUILT[-1]
    with pytest.raises(
        ConfigError, match=r"LIQUID_NAV_NATIVE='avx1024' is not available; use 0, 1, "
    ):
        native.select("avx1024")


@pytest.mark.parametrize("wish", ["0", ""])
def test_cells_run_with_the_kernel_switched_off(wish: str) -> None:
    script = (
        "import torch\n"
        "from liquid_nav.liquid import make_cell\n"
        "from liquid_nav.onboard import native\n"
        "torch.manual_seed(1)\n"
        "for name in ('ltc', 'liquid_flow'):\n"
        "    cell = make_cell(name, 3, 4).double()\n"
        "    u, dt = torch.rand(2, 5, 3).double(), torch.rand(2, 5).double()\n"
        "    states, _ = cell(u, dt, cell.initial_state(2))\n"
        "    states.sum().backward()\n"
        "    print(states.sum().item(), cell.step(u[:, 0], states[:, 0], dt[:, 0]).sum().item())\n"
        "    print(sum(p.grad.sum().item() for p in cell.parameters()))\n"
        "print(native.kernel is not None)\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "LIQUID_NAV_NATIVE": chosen},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for chosen in (wish, "0")
    ]
    assert printed[0][-1] == str(wish != "0" and bool(BUILT))
    assert printed[1][-1] == "False"
    for ours, theirs in zip(printed[0][:-1], printed[1][:-1], strict=True):
        assert float(ours) == pytest.approx(float(theirs), rel=1e-10)


@each_cell
@each_path
def test_transforms_of_functions_see_the_plain_loop(
    name: str, options: dict[str, Any], path: str
) -> None:
    use(path)
    cell = seeded_cell(name, options)
    u, dt, v = example(cell, 2, 3)
    by_vmap = torch.func.jacrev(lambda x: cell(x, dt, v)[1])(u)  # type: ignore[no-untyped-call]
    one_by_one = torch.autograd.functional.jacobian(lambda x: cell(x, dt, v)[1], u)
    torch.testing.assert_close(by_vmap, one_by_one, rtol=1e-9, atol=1e-12)


@each_path
@pytest.mark.parametrize("name", ["ltc", "liquid_flow"])
def test_a_wired_cell_is_the_same_on_every_path(name: str, path: str) -> None:
    use(path)
    wired = {"wiring": {"kind": "Random", "units": 4}}
    cell = seeded_cell(name, wired, dtype=torch.float64)
    inputs = example(cell, 3, 7)
    for got, plain in zip(
        states_and_gradients(cell, *inputs), plain_loop(cell, *inputs), strict=True
    ):
        torch.testing.assert_close(got, plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "options"),
    [("ltc", {"solver": "fused"}), ("liquid_flow", {"hidden": 6}), ("ctrnn", {})],
)
def test_a_cell_without_an_onboard_form_folds_to_none(name: str, options: dict[str, Any]) -> None:
    assert seeded_cell(name, options).fold() is None


def test_a_cell_in_another_precision_has_no_onboard_form() -> None:
    cell = seeded_cell("ltc", {})
    with pytest.raises(ConfigError, match="on the CPU in float32 or float64, got initial"):
        cell.half().fold()
