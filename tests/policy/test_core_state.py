"""What a plot gets of the core of any cell: N numbers, and N time constants or none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from liquid_nav.bags.bag import Recording
from liquid_nav.cli.main import main
from liquid_nav.liquid import CELLS, NCP, LiquidCell, RecurrentCell
from liquid_nav.onboard import Manifest
from liquid_nav.onboard.runtime import Memory
from liquid_nav.policy import make_policy, save_bundle
from liquid_nav.replay.report.mcap import STATE, TIME_CONSTANTS
from replay.replay_support import events, record
from support import frame, sample, small_network

OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("cfc", {"mixed_memory": True}),
    ("cfc", {"mode": "pure"}),
    ("liquid_flow", {"max_frequency": 2.0}),
    ("liquid_flow", {"gates": "input"}),
    ("liquid_flow", {"hidden": 5}),
    ("ltc", {"solver": "fused"}),
    ("ltc", {"solver": "rk4"}),
    ("ltc", {"wiring": NCP(5, 3, 4, 2, 2, 2, 2).to_dict()}),
    ("transformer", {"window": 3}),
]
"""Cells that are set up in another way than by default."""

MADE = [*((cell, {}) for cell in sorted(CELLS)), *OTHERS]


@pytest.mark.parametrize(("cell", "options"), MADE, ids=str)
@pytest.mark.parametrize("native", [True, False], ids=["native", "scripted"])
def test_it_is_what_the_head_reads(cell: str, options: dict[str, Any], native: bool) -> None:
    config, network = small_network(cell, **options)
    policy = make_policy(config, network, native=native)
    memory = policy.initial()
    for event in (sample(0.1), frame(0.12), sample(0.13, seed=1)):
        memory, _ = policy.on_event(memory, event, 5_000_000, event.latency)
    check(policy.core_state(memory), network.core, memory)
    check(policy.core_state(policy.initial()), network.core, policy.initial())


def check(shown: tuple[list[float], list[float]], core: RecurrentCell, memory: Memory) -> None:
    state, constants = shown
    with torch.no_grad():
        read = core.read(torch.from_numpy(memory.state[None]))[0].tolist()
    np.testing.assert_allclose(state, read, atol=1e-6)
    assert len(state) == core.units
    if isinstance(core, LiquidCell):
        assert len(constants) == core.units
        assert min(constants) > 0
    else:
        assert constants == []


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_a_policy_of_any_cell_is_replayed_into_a_folder(
    cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config, network = small_network(cell)
    save_bundle(Path("model"), network, Manifest("target", config, {}, {}))
    record(Path("flight.mcap"), make_policy(config, network), events(0.3))
    assert main(["replay", "flight.mcap", "--model", "model", "--compare", "--out", "out"]) == 0
    assert json.loads(Path("out/replay.json").read_text())["replay"]["comparison"]["identical"]
    with Recording(Path("out/replay.mcap")) as recording:
        sizes = {
            topic: {len(m.content.data) for m in recording.messages({topic})}
            for topic in (STATE, TIME_CONSTANTS)
            if topic in recording.topics
        }
    assert sizes.pop(STATE) == {config.units}
    expected = {config.units} if isinstance(network.core, LiquidCell) else None
    assert sizes.get(TIME_CONSTANTS) == expected
