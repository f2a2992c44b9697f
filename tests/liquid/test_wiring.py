"""Wirings, and that the cells obey them."""

import json
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from liquid_nav.errors import ConfigError
from liquid_nav.liquid import (
    NCP,
    AutoNCP,
    FullyConnected,
    LiquidCell,
    Random,
    Wiring,
    make_cell,
    wiring_from_dict,
)
from liquid_nav.liquid.drawing import draw_wiring

INPUTS = 5
WIRINGS = [
    FullyConnected(9, self_connections=False),
    Random(9, sparsity=0.7, seed=3),
    NCP(4, 3, 2, 2, 2, 3, 2, seed=1),
    AutoNCP(9, 2, sparsity=0.6, seed=4),
]
WIRED: list[tuple[str, dict[str, Any]]] = [
    ("ltc", {"max_step": 1.0}),
    ("ltc", {"solver": "rk4"}),
    ("ltc", {"solver": "fused"}),
    ("ltc", {"solver": "dopri5"}),
    ("liquid_flow", {}),
    ("liquid_flow", {"lipschitz": 0.8}),
    ("ctrnn", {"max_step": 1.0}),
    ("cfc", {"backbone_layers": 0}),
    ("cfc", {"backbone_layers": 0, "mode": "no_gate"}),
    ("cfc", {"backbone_layers": 0, "mode": "pure"}),
]
each_wiring = pytest.mark.parametrize("wiring", WIRINGS, ids=lambda w: type(w).__name__)


@each_wiring
def test_a_wiring_draws_the_same_every_time_and_survives_json(wiring: Wiring) -> None:
    again = wiring_from_dict(json.loads(json.dumps(wiring.to_dict())))
    assert again == wiring
    for first, second in zip(wiring.synapses(INPUTS), again.synapses(INPUTS), strict=True):
        np.testing.assert_array_equal(first, second)
        assert set(np.unique(first)) <= {-1, 0, 1}
    assert sorted(n for layer in wiring.layers.values() for n in layer) == list(range(9))
    with pytest.raises(FrozenInstanceError):
        wiring.units = 3  # type: ignore[misc]


def test_another_seed_draws_another_wiring() -> None:
    assert not np.array_equal(Random(9, seed=0).synapses(5)[1], Random(9, seed=1).synapses(5)[1])


def test_a_random_wiring_is_as_sparse_as_asked() -> None:
    sensory, recurrent = Random(20, sparsity=0.75).synapses(12)
    assert np.count_nonzero(recurrent) == 100
    assert 60 <= np.count_nonzero(sensory) <= 62
    assert sensory.any(0).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_policy_circuit_joins_neighbouring_layers_and_leaves_no_neuron_out(
    seed: int,
) -> None:
    wiring = NCP(7, 5, 3, 2, 2, 4, 2, seed=seed)
    sensory, recurrent = wiring.synapses(INPUTS)
    inter, command, motor = (np.array(layer) for layer in wiring.layers.values())
    allowed = np.zeros_like(recurrent, dtype=bool)
    allowed[np.ix_(command, inter)] = allowed[np.ix_(command, command)] = True
    allowed[np.ix_(motor, command)] = True
    assert not recurrent[~allowed].any()
    assert not sensory[np.concatenate((command, motor))].any()
    assert (np.count_nonzero(sensory, 0) >= 2).all()
    assert sensory.any(0).all()
    assert sensory[inter].any(1).all()
    assert recurrent[np.ix_(command, inter)].any(1).all()
    assert recurrent[np.ix_(command, inter)].any(0).all()
    assert recurrent[np.ix_(motor, command)].any(0).all()
    assert (np.count_nonzero(recurrent[motor], 1) >= 2).all()


@each_wiring
@pytest.mark.parametrize(("name", "options"), WIRED, ids=str)
def test_the_jacobian_has_the_zeros_of_the_wiring(
    wiring: Wiring, name: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    cell = make_cell(name, INPUTS, 9, wiring=wiring.to_dict(), **options).double()
    u, v, dt = torch.rand(1, INPUTS).double(), 0.3 * torch.rand(1, 9).double(), torch.tensor([0.02])
    if name == "ltc":
        v = cell.initial_state(1).detach()
    by_u, by_v = torch.autograd.functional.jacobian(
        lambda u, v: cell.step(u, v, dt.double())[0], (u, v)
    )
    sensory, recurrent = wiring.synapses(INPUTS)
    seen, felt = by_u.squeeze(1).numpy() != 0.0, by_v.squeeze(1).numpy() != 0.0
    own = np.eye(9, dtype=bool)
    # Stages and unfolds of one step go along several synapses.
    if options.get("solver", "exponential") == "exponential":
        np.testing.assert_array_equal(seen, sensory != 0)
        # A neuron's own past is no synapse.
        np.testing.assert_array_equal(felt | own, (recurrent != 0) | own)
    # In many steps signals go no further than the synapses lead.
    reach = np.linalg.matrix_power(np.eye(9, dtype=int) + np.abs(recurrent.astype(int)), 9) > 0
    steps = torch.autograd.functional.jacobian(
        lambda u: cell(u.unsqueeze(1).expand(1, 9, -1), dt.double().expand(1, 9), v)[1][0], u
    )
    far = reach.astype(int) @ np.abs(sensory.astype(int)) > 0
    # Neurons share the step size of an adaptive solver, which leaks less than its tolerance.
    leak = 1e-6 if options.get("solver") == "dopri5" else 0.0
    assert not (np.abs(steps.squeeze(1).numpy()) > leak)[~far].any()


def test_a_wired_ltc_starts_with_the_signs_of_its_wiring_and_is_bound_by_its_synapses() -> None:
    wiring = NCP(4, 3, 2, 2, 2, 3, 2)
    cell = make_cell("ltc", INPUTS, 9, wiring=wiring)
    assert isinstance(cell, LiquidCell)
    sensory, recurrent = wiring.synapses(INPUTS)
    np.testing.assert_array_equal(cell.get_parameter("sensory_reversal").detach(), sensory)
    low, high, tau_low, _ = cell.bounds()
    with torch.no_grad():
        cell.get_parameter("recurrent_reversal")[torch.from_numpy(recurrent == 0)] = 1e6
    for before, after in zip((low, high, tau_low), cell.bounds(), strict=False):
        torch.testing.assert_close(before, after)


def test_a_saved_cell_holds_its_wiring_whole() -> None:
    one, other = (make_cell("ltc", INPUTS, 9, wiring=Random(9, seed=s)) for s in (0, 1))
    u, v, dt = torch.rand(2, INPUTS), torch.zeros(2, 9), torch.rand(2)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.step(u, v, dt), other.step(u, v, dt))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make_cell("ltc", 5, 8, wiring=Random(9)), "9 neurons does not fit .* 8 units"),
        (lambda: make_cell("ctrnn", 5, 9, wiring={"kind": "Ring", "units": 9}), "AutoNCP, Fully"),
        (lambda: make_cell("ctrnn", 5, 9, wiring={"kind": "Random", "size": 9}), "size"),
        (lambda: make_cell("cfc", 5, 9, wiring=Random(9)), "backbone_layers=0"),
        (lambda: make_cell("liquid_flow", 5, 9, gates="input", wiring=Random(9)), "wired LiquidFl"),
        (lambda: Random(9, sparsity=1.0), "sparsity"),
        (lambda: Random(0), "units must be at least 1"),
        (lambda: NCP(4, 3, 2, 5, 2, 3, 2), "sensory_fanout 5 is more than the 4 inter"),
        (lambda: NCP(4, 3, 2, 2, 4, 3, 2), "inter_fanout 4 is more than the 3 command"),
        (lambda: NCP(4, 3, 2, 2, 2, 3, 4), "motor_fanin 4 is more than the 3 command"),
        (lambda: AutoNCP(3, 2), "units must be at least 4"),
        (lambda: AutoNCP(9, 2, sparsity=-0.1), "sparsity"),
        (lambda: FullyConnected(3).synapses(0), "inputs"),
    ],
)
def test_wirings_that_do_not_fit_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_a_drawing_shows_every_neuron_and_every_synapse() -> None:
    wiring = NCP(4, 3, 2, 2, 2, 3, 2)
    axes = Figure().add_subplot()
    draw_wiring(wiring, INPUTS, axes)
    sensory, recurrent = wiring.synapses(INPUTS)
    assert len(axes.patches) == np.count_nonzero(sensory) + np.count_nonzero(recurrent)
    assert len(np.asarray(axes.collections[0].get_offsets())) == INPUTS + 9
    assert [text.get_text() for text in axes.texts] == ["input", "inter", "command", "motor"]
