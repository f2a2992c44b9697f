"""CfC: the published closed-form continuous-time cell, for parity and comparison."""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import RecurrentCell, clamp_input
from liquid_nav.liquid.options import check_choice, check_counts, check_flags
from liquid_nav.liquid.wiring import Wiring, wiring_masks

MODES = ("default", "no_gate", "pure")
"""How a CfC combines its heads; the paper's code calls "pure" "minimal"."""


class LecunTanh(nn.Module):
    """1.7159 tanh(0.666 x), which keeps the variance of its input (LeCun et al. 1998)."""

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate it elementwise."""
        return 1.7159 * torch.tanh(0.666 * x)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "lecun_tanh": LecunTanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""Activations of the backbone, by name."""


class CfC(RecurrentCell):
    """A gated approximation of the liquid cell's solution (Hasani et al. 2022).

    With heads f, g, a, b, each affine in the output of a backbone that reads [u, v], and with
    elapsed time dt,

        default  v' = tanh(f) (1 - s(a dt + b)) + tanh(g) s(a dt + b)
        no_gate  v' = tanh(f) + tanh(g) s(a dt + b)
        pure     v' = A - A exp(-dt (|w| + |f|)) f

    It is not a flow, see `RecurrentCell.continuous`: at dt = 0 it moves the state, and an event
    that brings nothing new changes the answer. After one event the states lie within [-1, 1]
    ("default") or [-2, 2] ("no_gate").

    With mixed memory (Lechner and Hasani 2020) an LSTM reads input and state first, and its output
    takes the place of v. Its own memory is the second half of the state (B, 2N).

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        mode: "default", "no_gate" or "pure".
        mixed_memory: whether an LSTM comes before the cell.
        backbone_units: the width of the backbone.
        backbone_layers: the number of its layers; with 0 the heads read [u, v] directly.
        activation: the activation of the backbone, a key of `ACTIVATIONS`.
        wiring: which synapses exist. It masks every head, those of time too, and each neuron also
            reads itself. It excludes a backbone and mixed memory, which would connect every
            neuron with every other.

    Raises:
        ConfigError: if a size is below 1, the mode or activation is unknown, or the wiring does
            not fit or comes with a backbone or mixed memory.
    """

    mixed_memory: Final[bool]
    pure: Final[bool]
    no_gate: Final[bool]

    first_input_mask: Tensor
    first_state_mask: Tensor

    def __init__(
        self,
        input_size: int,
        units: int,
        mode: str = "default",
        mixed_memory: bool = False,
        backbone_units: int = 128,
        backbone_layers: int = 1,
        activation: str = "lecun_tanh",
        wiring: Wiring | dict[str, Any] | None = None,
    ) -> None:
        check_counts(units=units)
        super().__init__(input_size, units, 2 * units if mixed_memory else units)
        check_choice(MODES, mode=mode)
        check_choice(ACTIVATIONS, activation=activation)
        check_flags(mixed_memory=mixed_memory)
        check_counts(0, 100, backbone_layers=backbone_layers)
        check_counts(backbone_units=backbone_units)
        if wiring is not None and (backbone_layers or mixed_memory):
            raise ConfigError("a wired CfC takes backbone_layers=0 and mixed_memory=False")
        self.pure = mode == "pure"
        self.no_gate = mode == "no_gate"
        self.mixed_memory = mixed_memory
        # One product computes all heads: rows 0 ... N - 1 belong to f, then come g, a and b.
        heads = 1 if mode == "pure" else 4
        first = backbone_units if backbone_layers else heads * units
        # The first layer is split, so that one product takes all inputs of a sequence.
        self.input_weight = nn.Parameter(torch.empty(first, input_size))
        self.state_weight = nn.Parameter(torch.empty(first, units))
        self.bias = nn.Parameter(torch.empty(first))
        sensory, recurrent = wiring_masks(wiring, input_size, units)
        copies = 1 if backbone_layers else heads
        rows = first if backbone_layers else units
        recurrent = torch.maximum(recurrent, torch.eye(units))
        input_mask = sensory if wiring is not None else torch.ones(rows, input_size)
        state_mask = recurrent if wiring is not None else torch.ones(rows, units)
        wired = wiring is not None
        self.register_buffer("first_input_mask", input_mask.repeat(copies, 1), persistent=wired)
        self.register_buffer("first_state_mask", state_mask.repeat(copies, 1), persistent=wired)
        layers: list[nn.Module] = []
        if backbone_layers:
            layers.append(ACTIVATIONS[activation]())
            for _ in range(backbone_layers - 1):
                layers += [nn.Linear(backbone_units, backbone_units), ACTIVATIONS[activation]()]
            layers.append(nn.Linear(backbone_units, heads * units))
        self.rest = nn.Sequential(*layers)
        if mode == "pure":
            self.rate = nn.Parameter(torch.zeros(units))
            self.amplitude = nn.Parameter(torch.ones(units))
        if mixed_memory:
            self.memory_input = nn.Linear(input_size, 4 * units)
            self.memory_state = nn.Linear(units, 4 * units, bias=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights anew, Glorot-uniform for each head, as published."""
        fan_in = self.input_size + self.units
        whole = torch.cat((self.input_weight, self.state_weight), 1)
        blocks = [whole] if len(self.rest) else list(whole.split(self.units))
        for block in blocks:
            nn.init.xavier_uniform_(block)
        self.input_weight.copy_(torch.cat(blocks)[:, : self.input_size])
        self.state_weight.copy_(torch.cat(blocks)[:, self.input_size :])
        self.bias.uniform_(-(fan_in**-0.5), fan_in**-0.5)
        for layer in self.rest:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
                for block in layer.weight.split(self.units if layer is self.rest[-1] else 1 << 30):
                    nn.init.xavier_uniform_(block)
        if self.pure:
            self.rate.zero_()
            self.amplitude.fill_(1.0)
        if self.mixed_memory:
            nn.init.xavier_uniform_(self.memory_input.weight)
            nn.init.uniform_(self.memory_input.bias, -0.1, 0.1)
            nn.init.orthogonal_(self.memory_state.weight)

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give zeros (B, S)."""
        return self.bias.new_zeros((batch, self.state_size))

    @torch.jit.export
    def read(self, v: Tensor) -> Tensor:
        """Give the activation (..., N), without the memory, of the state v (..., S)."""
        return v[..., : self.units]

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `RecurrentCell.step`."""
        self.check_step(u, v, dt)
        u = clamp_input(u)
        return self._advance(self._drive(u), self._memory_drive(u), self._recurrent(), v, dt)

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentCell.forward`."""
        v = self._begin(u, dt, v)
        u = clamp_input(u)
        memories = self._memory_drive(u).unbind(1)
        recurrent, elapsed = self._recurrent(), dt.unbind(1)
        states: list[Tensor] = []
        for k, drive in enumerate(self._drive(u).unbind(1)):
            v = self._advance(drive, memories[k], recurrent, v, elapsed[k])
            states.append(v)
        return torch.stack(states, 1), v

    def _drive(self, u: Tensor) -> Tensor:
        weight = self.input_weight * self.first_input_mask
        return functional.linear(u, weight, self.bias)

    def _memory_drive(self, u: Tensor) -> Tensor:
        if self.mixed_memory:
            drive: Tensor = self.memory_input(u)
            return drive
        return u

    def _recurrent(self) -> Tensor:
        return (self.state_weight * self.first_state_mask).t()

    def _advance(
        self, drive: Tensor, memory_drive: Tensor, recurrent: Tensor, v: Tensor, dt: Tensor
    ) -> Tensor:
        if not self.mixed_memory:
            return self._closed_form(self.rest(torch.addmm(drive, v, recurrent)), dt)
        v, memory = v.chunk(2, 1)
        gates = memory_drive + self.memory_state(v)
        write, write_gate, keep_gate, show_gate = gates.chunk(4, 1)
        # The forget gate starts open.
        memory = memory * torch.sigmoid(keep_gate + 1.0) + torch.tanh(write) * torch.sigmoid(
            write_gate
        )
        v = torch.tanh(memory) * torch.sigmoid(show_gate)
        v = self._closed_form(self.rest(torch.addmm(drive, v, recurrent)), dt)
        return torch.cat((v, memory), 1)

    def _closed_form(self, heads: Tensor, dt: Tensor) -> Tensor:
        dt = dt.unsqueeze(1)
        if self.pure:
            decay = torch.exp(-dt * (self.rate.abs() + heads.abs()))
            return self.amplitude - self.amplitude * decay * heads
        f, g, a, b = heads.chunk(4, 1)
        share = torch.sigmoid(a * dt + b)
        if self.no_gate:
            return torch.tanh(f) + torch.tanh(g) * share
        return torch.tanh(f) * (1.0 - share) + torch.tanh(g) * share
