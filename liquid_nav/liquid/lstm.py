"""LSTM: a baseline that reads the elapsed time as one more input."""

import torch
from torch import Tensor, nn

from liquid_nav.liquid.cell import RecurrentCell
from liquid_nav.liquid.gru import checked_time_unit, with_time
from liquid_nav.liquid.options import check_counts


class LSTM(RecurrentCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) that also reads the elapsed time.

    It is not a flow, see `RecurrentCell.continuous`. The state (B, 2N) holds the output first,
    which `read` gives and which lies within [-1, 1], and then the memory, which has no bounds.

    Args:
        input_size: the number of inputs I.
        units: the number of neurons N.
        time_unit: seconds; the additional input is log(1 + dt / time_unit).

    Raises:
        ConfigError: if a size is below 1 or `time_unit` is not positive and finite.
    """

    def __init__(self, input_size: int, units: int, time_unit: float = 0.02) -> None:
        check_counts(units=units)
        super().__init__(input_size, units, 2 * units)
        self.time_unit = checked_time_unit(time_unit)
        self.rnn = nn.LSTMCell(input_size + 1, units)
        with torch.no_grad():
            # The forget gate starts open: Gers et al. 2000, Jozefowicz et al. 2015.
            self.rnn.bias_ih[units : 2 * units] += 1.0

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give zeros (B, 2N)."""
        return self.rnn.weight_hh.new_zeros((batch, self.state_size))

    @torch.jit.export
    def read(self, v: Tensor) -> Tensor:
        """Give the output (..., N) of the state v (..., 2N)."""
        return v[..., : self.units]

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `RecurrentCell.step`."""
        self.check_step(u, v, dt)
        output, memory = v.chunk(2, 1)
        output, memory = self.rnn(with_time(u, dt, self.time_unit), (output, memory))
        return torch.cat((output, memory), 1)

    def forward(self, u: Tensor, dt: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `RecurrentCell.forward`."""
        v = self._begin(u, dt, v)
        output, memory = v.chunk(2, 1)
        states: list[Tensor] = []
        # nn.LSTM would give the outputs only, but a state includes the memory.
        for x in with_time(u, dt, self.time_unit).unbind(1):
            output, memory = self.rnn(x, (output, memory))
            states.append(torch.cat((output, memory), 1))
        return torch.stack(states, 1), states[-1]
