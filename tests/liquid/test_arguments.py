"""Arguments of the wrong type: one typed error that says what is right, for every cell."""

import inspect
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import (
    CELLS,
    LTC,
    NCP,
    AutoNCP,
    FullyConnected,
    Random,
    make_cell,
    wiring_from_dict,
)
from liquid_reference import BASELINE_CASES, CELL_CASES, seeded_recurrent

CASES = [*CELL_CASES, *BASELINE_CASES]


@pytest.mark.parametrize("name", sorted(CELLS))
@pytest.mark.parametrize("bad", [3.5, 0, -1, True, "3", None, math.nan, [3]], ids=str)
def test_sizes_are_whole_numbers(name: str, bad: Any) -> None:
    for sizes, argument in (((3, bad), "units"), ((bad, 4), "input_size")):
        with pytest.raises(ConfigError, match=f"^{argument} must be (a whole number|at least 1)"):
            CELLS.get(name)(*sizes)
        with pytest.raises(ConfigError, match=argument):
            make_cell(name, *sizes)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tensors_of_another_type_are_refused(
    name: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    cell = seeded_recurrent(name, options, dtype=dtype)
    other = torch.float32 if dtype == torch.float64 else torch.float64
    u, dt, v = torch.zeros(2, 5, 3, dtype=dtype), torch.zeros(2, 5, dtype=dtype), None
    for argument, kind in [(a, k) for a in ("u", "v", "dt") for k in (other, torch.int64)]:
        step = {"u": u[:, 0], "v": cell.initial_state(2), "dt": dt[:, 0]}
        step[argument] = step[argument].to(kind)
        right = f"^{argument} must be in {dtype} on cpu as the cell, got {kind} on cpu; convert"
        with pytest.raises(ConfigError, match=right):
            cell.step(**step)
        whole = {"u": u, "dt": dt, "v": v}
        whole[argument] = step[argument] if argument == "v" else whole[argument].to(kind)
        with pytest.raises(ConfigError, match=right):
            cell(**whole)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_numbers_in_place_of_tensors_are_refused(name: str, options: dict[str, Any]) -> None:
    cell = seeded_recurrent(name, options, dtype=torch.float32)
    u, v = torch.zeros(2, 3), cell.initial_state(2)
    with pytest.raises(ConfigError, match=r"^dt must be a tensor .*: torch\.full\(\(2,\), 0\.1\)$"):
        cell.step(u, v, dt=0.1)
    for bad in (0.1, None, [0.1, 0.2], u.numpy()):
        for argument in ("u", "v", "dt"):
            step = {"u": u, "v": v, "dt": torch.zeros(2)} | {argument: bad}
            with pytest.raises(ConfigError, match=f"^{argument} must be a tensor"):
                cell.step(**step)
        with pytest.raises(ConfigError, match=r"^u must be a tensor"):
            cell(bad, torch.zeros(2, 5))
        with pytest.raises(ConfigError, match=r"^dt must be a tensor"):
            cell(torch.zeros(2, 5, 3), bad)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([10**15, -(10**30)]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.sampled_from([b"x", 1j, object(), torch.zeros(2), {"kind": []}, {"kind": "Random"}]),
)
OPTIONS = {
    name: [
        option
        for option in inspect.signature(CELLS.get(name)).parameters
        if option not in ("input_size", "units")
    ]
    for name in CELLS
}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_options_of_any_type_are_accepted_or_one_typed_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CELLS)))
    chosen = data.draw(st.lists(st.sampled_from(OPTIONS[name]), min_size=1, max_size=3))
    options = {option: data.draw(ANYTHING, label=option) for option in chosen}
    try:
        cell = make_cell(name, 3, 4, **options)
    except ConfigError:
        return
    v = cell.step(torch.zeros(1, 3), cell.initial_state(1), torch.full((1,), 0.01))
    assert bool(cell.read(v).isfinite().all())


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_wirings_of_any_type_are_accepted_or_one_typed_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([NCP, AutoNCP, FullyConnected, Random]))
    fields = {
        field: data.draw(ANYTHING, label=field) for field in inspect.signature(kind).parameters
    }
    for make in (
        lambda: kind(**fields),
        lambda: wiring_from_dict({"kind": kind.__name__, **fields}),
    ):
        try:
            wiring = make()
            if wiring.size > 50:
                continue
            LTC(3, wiring.size, wiring=wiring)
        except ConfigError:
            pass


@pytest.mark.parametrize("bad", [5, "NCP", [], {"kind": []}, {"kind": None}, {}], ids=str)
def test_what_is_no_wiring_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigError, match="wiring"):
        LTC(3, 4, wiring=bad)
