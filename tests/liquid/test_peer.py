"""Our cells against the field's library, from the same parameters."""

from typing import Any

import pytest
import torch
from ncps import torch as peers
from torch import Tensor

from liquid_nav.liquid import LTC, CfC

INPUTS, UNITS, BATCH, LENGTH = 3, 5, 4, 7


def sequences() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    u = torch.randn(BATCH, LENGTH, INPUTS, generator=generator)
    return u, torch.rand(BATCH, LENGTH, generator=generator) ** 3 + 1e-3


def peer_states(net: torch.nn.Module, u: Tensor, dt: Tensor, state: Any) -> Tensor:
    """States (B, T, N), one sample and one event at a time: its batched time spans are wrong."""
    rows = []
    for b in range(BATCH):
        hidden, states = state, []
        for k in range(LENGTH):
            _, hidden = net(u[b : b + 1, k : k + 1], hidden, timespans=dt[b : b + 1, k : k + 1])
            states.append(hidden[0] if isinstance(hidden, tuple) else hidden)
        rows.append(torch.cat(states))
    return torch.stack(rows)


def gradients(states: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1.0, 1.0, states.numel()).view_as(states)
    return torch.autograd.grad((states * weights).sum(), leaves)


def test_the_fused_ltc_reproduces_the_peer() -> None:
    torch.manual_seed(1)
    peer = peers.LTC(INPUTS, UNITS, input_mapping=None, output_mapping=None)
    theirs = peer.rnn_cell._params
    ours = LTC(INPUTS, UNITS, solver="fused")
    pairs = [
        (theirs["cm"], ours.capacitance_raw),
        (theirs["gleak"], ours.leak_raw),
        (theirs["vleak"], ours.v_leak),
    ]
    for key, name in (("sigma", "sigma"), ("mu", "mu"), ("w", "weight_raw"), ("erev", "reversal")):
        pairs.append((theirs[key], ours.get_parameter(f"recurrent_{name}")))
        pairs.append((theirs[f"sensory_{key}"], ours.get_parameter(f"sensory_{name}")))
    with torch.no_grad():
        for their, our in pairs:
            our.copy_(their.t() if their.ndim == 2 else their)
    u, dt = sequences()
    expected = peer_states(peer, u, dt, torch.zeros(1, UNITS))
    states, _ = ours(u, dt, torch.zeros(BATCH, UNITS))
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)
    theirs_by = gradients(expected, [their for their, _ in pairs])
    ours_by = gradients(states, [our for _, our in pairs])
    for their, our in zip(theirs_by, ours_by, strict=True):
        their = their.t() if their.ndim == 2 else their
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-5)


def cfc_pairs(peer: peers.CfCCell, ours: CfC) -> list[tuple[list[Tensor], Tensor]]:
    """Their parameters, to be stacked, and ours."""
    pure = ours.pure
    heads = [peer.ff1] if pure else [peer.ff1, peer.ff2, peer.time_a, peer.time_b]
    first = heads if peer.backbone is None else [peer.backbone[0]]
    pairs = [([layer.bias for layer in first], ours.bias)]
    if peer.backbone is not None:
        theirs = [layer for layer in peer.backbone[1:] if isinstance(layer, torch.nn.Linear)]
        own = [layer for layer in ours.rest if isinstance(layer, torch.nn.Linear)]
        for their, our in zip(theirs, own[:-1], strict=True):
            pairs += [([their.weight], our.weight), ([their.bias], our.bias)]
        pairs.append(([head.weight for head in heads], own[-1].weight))
        pairs.append(([head.bias for head in heads], own[-1].bias))
    if pure:
        pairs += [([peer.w_tau], ours.rate), ([peer.A], ours.amplitude)]
    return pairs


@pytest.mark.parametrize("mode", ["default", "no_gate", "pure"])
@pytest.mark.parametrize("backbone_layers", [0, 1, 2])
@pytest.mark.parametrize("mixed_memory", [False, True])
def test_cfc_reproduces_the_peer(mode: str, backbone_layers: int, mixed_memory: bool) -> None:
    torch.manual_seed(2)
    options = {"backbone_units": 6, "backbone_layers": backbone_layers}
    peer = peers.CfC(INPUTS, UNITS, mode=mode, mixed_memory=mixed_memory, **options)
    ours = CfC(INPUTS, UNITS, mode=mode, mixed_memory=mixed_memory, **options)
    cell = peer.rnn_cell
    with torch.no_grad():
        if mode == "pure":
            cell.w_tau.uniform_(-1.0, 1.0)
        for theirs, our in (pairs := cfc_pairs(cell, ours)):
            our.copy_(torch.cat(theirs).view_as(our))
        pure = mode == "pure"
        heads = [cell.ff1] if pure else [cell.ff1, cell.ff2, cell.time_a, cell.time_b]
        first = [cell.backbone[0]] if backbone_layers else heads
        whole = torch.cat([layer.weight for layer in first])
        ours.input_weight.copy_(whole[:, :INPUTS])
        ours.state_weight.copy_(whole[:, INPUTS:])
        if mixed_memory:
            ours.memory_input.load_state_dict(peer.lstm.input_map.state_dict())
            ours.memory_state.load_state_dict(peer.lstm.recurrent_map.state_dict())
    zeros = torch.zeros(1, UNITS)
    u, dt = sequences()
    expected = peer_states(peer, u, dt, (zeros, zeros) if mixed_memory else zeros)
    states, _ = ours(u, dt, ours.initial_state(BATCH))
    states = ours.read(states)
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)
    flat = [tensor for theirs, _ in pairs for tensor in theirs]
    by_theirs = iter(gradients(expected, [*flat, *(layer.weight for layer in first)]))
    own = [our for _, our in pairs] + [ours.input_weight, ours.state_weight]
    by_ours = gradients(states, own)
    for (theirs, _), our in zip(pairs, by_ours, strict=False):
        their = torch.cat([next(by_theirs) for _ in theirs])
        torch.testing.assert_close(our, their.view_as(our), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        torch.cat(by_ours[-2:], 1), torch.cat(list(by_theirs)), rtol=1e-4, atol=1e-5
    )
