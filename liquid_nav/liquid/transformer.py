"""Transformer: a baseline that looks back at the last events and their ages."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_nav.errors import ConfigError
from liquid_nav.liquid.cell import RecurrentCell, clamp_input
from liquid_nav.liquid.options import check_counts, check_numbers


class Transformer(RecurrentCell):
    """Attention over the last K events, each with its age in a continuous-time encoding.

    Vaswani et al. 2017, with normalisation before each block. The state (B, K (I + 1)) is the
    packed window: K inputs, oldest first, then their K ages in seconds, -1 where there was none
    yet. A step of dt under u ages the window by dt and appends u with age dt, which is when u
    began to act. `read` computes N numbers from the window alone, so nothing later than an event
    can enter its answer.

    The encoding of an age is its sine and cosine at frequencies log-uniform from 1 / `longest` to
    1 / `shortest` hertz. It is not a flow, see `RecurrentCell.continuous`: each step is an event.

    Args:
        input_size: the number of inputs I.
        units: the number N of values it gives, and the width of the layers.
        window: the number K of events that it remembers.
        layers: the number of layers.
        heads: the number of attention heads, a divisor of `units`.
        shortest: seconds, the period of the fastest wave of the encoding.
        longest: seconds, the period of the slowest wave.

    Raises:
        ConfigError: if a size is below 1, `heads` does not divide `units`, or the periods are not
            1e-9 <= shortest < longest <= 1e9.
    """

    frequencies: Tensor

    def __init__(
        self,
        input_size: int,
        units: int,
        window: int = 16,
        layers: int = 1,
        heads: int = 4,
        shortest: float = 0.01,
        longest: float = 20.0,
    ) -> None:
        check_counts(input_size=input_size, window=window, heads=heads)
        check_counts(most=100, layers=layers)
        super().__init__(input_size, units, int(window * (input_size + 1)))
        check_numbers(shortest=shortest, longest=longest)
        if units % heads:
            raise ConfigError(f"heads must divide units, got {heads} and {units}")
        # Beyond these bounds a wave or its phase overflows single precision.
        if not 1e-9 <= shortest < longest <= 1e9:
            raise ConfigError(
                f"need 1e-9 <= shortest < longest <= 1e9 s, got {shortest} and {longest}"
            )
        self.window = window
        waves = max(1, units // 2)
        frequencies = torch.logspace(-math.log10(longest), -math.log10(shortest), waves)
        self.register_buffer("frequencies", 2.0 * math.pi * frequencies, persistent=False)
        self.embed_input = nn.Linear(input_size, units)
        self.embed_age = nn.Linear(2 * waves, units, bias=False)
        # This token comes before the window, so that there is one to attend to at the start.
        self.start = nn.Parameter(0.02 * torch.randn(units))
        self.blocks = nn.ModuleList(Block(units, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(units)

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """Give an empty window (B, K (I + 1))."""
        inputs = self.start.new_zeros((batch, self.window * self.input_size))
        return torch.cat((inputs, self.start.new_full((batch, self.window), -1.0)), 1)

    @torch.jit.export
    def read(self, v: Tensor) -> Tensor:
        """Attend over the window v (..., K (I + 1)), and give the newest token (..., N)."""
        packed = v.reshape(-1, self.state_size)
        inputs, ages = packed.split([self.window * self.input_size, self.window], 1)
        phase = ages.clamp(min=0.0).unsqueeze(2) * self.frequencies
        waves = torch.cat((torch.sin(phase), torch.cos(phase)), 2)
        tokens = self.embed_input(inputs.unflatten(1, [self.window, self.input_size]))
        tokens = tokens + self.embed_age(waves)
        tokens = torch.cat((self.start.expand(packed.shape[0], 1, -1), tokens), 1)
        known = functional.pad(ages >= 0.0, [1, 0], value=True).unsqueeze(1).unsqueeze(1)
        for block in self.blocks:
            tokens = block(tokens, known)
        # The last token is the newest event. Before the first event it is embedded zeros.
        newest: Tensor = self.norm(tokens[:, -1])
        return newest.unflatten(0, v.shape[:-1]) if v.ndim != 2 else newest

    @torch.jit.export
    def step(self, u: Tensor, v: Tensor, dt: Tensor) -> Tensor:
        """See `RecurrentCell.step`."""
        self.check_step(u, v, dt)
        inputs, ages = v.split([self.window * self.input_size, self.window], 1)
        aged = torch.where(ages < 0.0, ages, ages + dt.unsqueeze(1))
        return torch.cat(
            (inputs[:, self.input_size :], clamp_input(u), aged[:, 1:], dt.unsqueeze(1)), 1
        )


class Block(nn.Module):
    """One layer: attention, then a dense layer of four times the width, each added to its input."""

    def __init__(self, units: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = units // heads
        self.norm_attention = nn.LayerNorm(units)
        self.qkv = nn.Linear(units, 3 * units)
        self.project = nn.Linear(units, units)
        self.norm_dense = nn.LayerNorm(units)
        self.dense = nn.Sequential(
            nn.Linear(units, 4 * units), nn.GELU(), nn.Linear(4 * units, units)
        )

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """Transform x (B, K, N), attending to the tokens that `known` (B, 1, 1, K) marks."""
        qkv = self.qkv(self.norm_attention(x)).unflatten(2, [3, self.heads, self.width])
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=known)
        x = x + self.project(attended.transpose(1, 2).flatten(2))
        transformed: Tensor = x + self.dense(self.norm_dense(x))
        return transformed
