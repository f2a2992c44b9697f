"""GRU: a baseline that reads the elapsed time as one more input."""

import torch
from torch import Tensor, nn

from liquid_nav.liquid.cell import RecurrentCell, clamp_input
from liquid_nav.liquid.options import check_seconds


class GRU(RecurrentCell):
    """A gated recurrent unit (Cho et al. 2014) with the elapsed time as one more input.

    It is not a flow, see `RecurrentCell.continuous`. Its states lie within [-1, 1].

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        time_unit: seconds; the additional input is log(1 + dt / time_unit), which puts intervals
            from milliseconds to hours on one scale.

    Raises:
        ConfigError: if a size is below 1 or `time_unit` is not positive and finite.
    """

    def __init__(self, input_size: int, units: int, time_unit: float = 0.02) -> None:
        super().__init__(input_size, units)
        self.time_unit = checked_time_unit(time_unit)
        self.rnn = nn.GRUCell(input_size + 1, units)

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give zeros (B, N)."""
        return self.rnn.weight_hh.new_zeros((batch, self.units))

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `RecurrentCell.step`."""
        self.check_step(u, v, dt)
        stepped: Tensor = self.rnn(with_time(u, dt, self.time_unit), v)
        return stepped

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentCell.forward`."""
        v = self._begin(u, dt, v)
        states: list[Tensor] = []
        # torch.export would fix the batch of nn.GRU.
        for x in with_time(u, dt, self.time_unit).unbind(1):
            v = self.rnn(x, v)
            states.append(v)
        return torch.stack(states, 1), v


def with_time(u: Tensor, dt: Tensor, time_unit: float) -> Tensor:
    """Append the elapsed time dt (...) in seconds to the input u (..., I): (..., I + 1)."""
    elapsed = torch.log1p(dt / time_unit).unsqueeze(-1)
    return torch.cat((clamp_input(u), elapsed), -1)


def checked_time_unit(time_unit: float) -> float:
    """Return a time unit in seconds. Raises ConfigError unless it is positive and finite."""
    check_seconds(time_unit=time_unit)
    return float(time_unit)
