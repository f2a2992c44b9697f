"""The leaky cell, plugged in: it is found by its name, learns, and flies a policy."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_nav.liquid import CELLS, RecurrentCell, make_cell
from liquid_nav.onboard import Manifest, PolicyConfig, native
from liquid_nav.onboard.runtime import NativeRuntime, probe
from liquid_nav.policy import PolicyNetwork, make_policy, save_bundle
from plugin_support import plugged

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
CONFIG = PolicyConfig(cell="leaky", units=8, cell_options={"tau": 0.2})


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with plugged("cell_leaky", tmp_path_factory.mktemp("site")):
        yield


def seeded(units: int) -> RecurrentCell:
    torch.manual_seed(5)
    return make_cell("leaky", 2, units)


def test_it_is_listed_with_the_other_cells() -> None:
    assert "leaky" in CELLS
    assert type(seeded(4)).__name__ == "LeakyCell"


def test_it_keeps_its_state_at_no_time_and_a_sequence_is_its_steps() -> None:
    cell = seeded(4)
    u, dt = torch.randn(3, 5, 2), torch.rand(3, 5)
    states, _ = cell(u, dt)
    v = cell.initial_state(3)
    for k in range(5):
        assert torch.equal(cell.step(u[:, k], v, torch.zeros(3)), v)
        v = cell.step(u[:, k], v, dt[:, k])
        torch.testing.assert_close(states[:, k], v)


def test_it_learns_to_hold_the_last_pulse() -> None:
    cell = seeded(8)
    head = torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], 1e-2)
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(80):
        pulse = torch.randint(2, (32, 1, 1), generator=generator) * 2.0 - 1.0
        u = torch.cat((pulse.expand(-1, 1, 2), torch.zeros(32, 6, 2)), 1)
        dt = 0.1 + 0.1 * torch.rand(32, 7, generator=generator)
        loss = (head(cell(u, dt)[0][:, -1]) - pulse[:, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_a_policy_with_it_flies_natively_as_by_torchscript() -> None:
    torch.manual_seed(3)
    network = PolicyNetwork(CONFIG)
    flying, scripted = (make_policy(CONFIG, network, native=wanted) for wanted in (True, False))
    assert isinstance(flying.runtime, NativeRuntime) == (native.kernel is not None)
    np.testing.assert_allclose(
        probe(flying.runtime, CONFIG), probe(scripted.runtime, CONFIG), atol=1e-5
    )


@pytest.mark.skipif(native.kernel is None, reason="the native kernel is not built")
def test_its_bundle_flies_without_torch(tmp_path: Path) -> None:
    save_bundle(tmp_path / "model", PolicyNetwork(CONFIG), Manifest("hover", CONFIG, {}, {}))
    program = (
        "import sys, pathlib\n"
        "from liquid_nav.onboard import load_policy\n"
        "policy, _ = load_policy(pathlib.Path(sys.argv[1]))\n"
        "print(type(policy.runtime).__name__, 'torch' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["NativeRuntime", "False"]
