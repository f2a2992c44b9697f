"""The optimiser's side of training: it fits a policy network to recorded flights."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.data.episodes import SIGHT, Episode
from liquid_nav.learning.data.losses import command_loss, sight_loss
from liquid_nav.learning.data.sequences import PieceStream, unroll
from liquid_nav.learning.log import RoundLog
from liquid_nav.onboard import PolicyConfig
from liquid_nav.policy import PolicyNetwork

AVERAGING = 0.99
"""How much of the averaged weights each optimiser step keeps."""


class Learner:
    """A network in training: its weights, their running average and the optimiser.

    The averaged weights are the policy: they fly as well in the middle of a run as weights whose
    learning rate has fallen to zero (Polyak and Juditsky 1992, "Acceleration of stochastic
    approximation by averaging").

    Args:
        network: the network with its first weights.
        policy: its configuration.
        config: settings of the run.

    Attributes:
        policy: network with the averaged weights, on the CPU.
        steps: number of optimiser steps so far.

    Raises:
        ConfigError: when the device is not there.

    """

    def __init__(
        self, network: PolicyNetwork, policy: PolicyConfig, config: TrainingConfig
    ) -> None:
        self._config, self._architecture = config, policy
        self.device = _device(config.device)
        self._network = network.train().to(self.device)
        # In bfloat16 the convolutions take half the time.
        self._fast = self.device.type == "cuda" or _has_bfloat16()
        self.policy = copy.deepcopy(network).cpu().eval()
        camera = policy.by_channel.get(Channel.CAMERA)
        # Reads off encoded frames what they show, in training only.
        head = nn.Identity() if camera is None else nn.Linear(camera.features, SIGHT)
        self._sight_head = head.to(self.device)
        self._optimiser = torch.optim.Adam(self._parameters(), lr=config.learning_rate)
        self._rng = np.random.default_rng([config.seed, 1])
        self.steps = 0

    def train(
        self,
        episodes: Sequence[Episode],
        steps: int,
        log: RoundLog,
        advance: Callable[[str], None] = lambda note: None,
    ) -> float:
        """Take optimiser steps.

        Args:
            episodes: the flights to learn from.
            steps: number of steps.
            log: gets the losses.
            advance: called after each step with a note on the loss.

        Returns:
            The running mean of the imitation loss.

        Raises:
            ConfigError: when training diverges.

        """
        config, network = self._config, self._network
        stream = PieceStream(
            episodes,
            config.lanes,
            config.length,
            self._rng,
            encoders=self._architecture.encoders,
            optional=self._architecture.optional,
        )
        state, latch = network.initial(config.lanes)
        running = 0.0
        for index, batch in zip(range(steps), stream, strict=False):
            done = min(self.steps / config.total_steps, 1.0)
            rate = config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            batch = batch.to(self.device)
            start_state, start_latch = network.initial(config.lanes)
            fresh = batch.fresh.unsqueeze(1)
            state = torch.where(fresh, start_state, state.detach())
            latch = torch.where(fresh, start_latch, latch.detach())
            commands, encoded, state, latch = unroll(network, batch, state, latch, self._fast)
            imitation = command_loss(commands, batch)
            sight = torch.zeros((), device=self.device)
            if Channel.CAMERA in encoded:
                sight = sight_loss(self._sight_head(encoded[Channel.CAMERA]), batch.sight)
            self._optimiser.zero_grad()
            (imitation + config.auxiliary * sight).backward()
            norm = nn.utils.clip_grad_norm_(self._parameters(), config.clip)
            self._optimiser.step()
            self.steps += 1
            self._average()
            log.add_scalar("loss/imitation", imitation.item(), self.steps)
            log.add_scalar("loss/sight", sight.item(), self.steps)
            log.add_scalar("gradient_norm", norm.item(), self.steps)
            log.add_scalar("learning_rate", rate, self.steps)
            _check_finite(imitation, norm, self.steps)
            running += (imitation.item() - running) * max(0.02, 1 / (index + 1))
            advance(f"loss {running:.4f}")
        return running

    def state(self) -> dict[str, Any]:
        """Collect what `load` needs to go on, as `torch.save` accepts it."""
        return {
            "network": self._network.state_dict(),
            "sight_head": self._sight_head.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "rng": self._rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
            "steps": self.steps,
        }

    def load(self, policy: PolicyNetwork, state: Mapping[str, Any]) -> None:
        """Go on from the averaged weights `policy` and a `state`.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: on a state of another version.

        """
        self.policy.load_state_dict(policy.state_dict())
        self._network.load_state_dict(state["network"])
        self._sight_head.load_state_dict(state["sight_head"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._rng.bit_generator.state = state["rng"]
        torch.set_rng_state(state["torch_rng"])
        self.steps = state["steps"]

    def _parameters(self) -> list[nn.Parameter]:
        return [*self._network.parameters(), *self._sight_head.parameters()]

    @torch.no_grad()
    def _average(self) -> None:
        # In the first steps the average follows sooner, so that it forgets the random weights.
        keep = min(AVERAGING, self.steps / (self.steps + 10))
        for mean, new in zip(self.policy.parameters(), self._network.parameters(), strict=True):
            mean.lerp_(new.to(mean.device), 1 - keep)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training device cuda: torch finds no GPU here; use cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 numbers itself; elsewhere they are slow."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _check_finite(loss: Tensor, norm: Tensor, step: int) -> None:
    """Raise ConfigError if training has diverged; it would go on with weights that are NaN."""
    if not (loss.isfinite() and norm.isfinite()):
        raise ConfigError(
            f"training diverged in optimiser step {step}: the loss is {loss.item():g} and the norm "
            f"of its gradient {norm.item():g}; a lower --learning-rate may help"
        )
