"""Losses of training: of the commands, and of what the policy reads from a frame."""

from torch import Tensor, nn

from liquid_nav.learning.data.sequences import Batch


def command_loss(commands: Tensor, batch: Batch) -> Tensor:
    """Smooth-L1 distance of commands (B, K, 4) from their labels, over valid events."""
    loss = nn.functional.smooth_l1_loss(commands, batch.label, beta=0.2, reduction="none")
    return loss.mean(2)[batch.valid].mean()


def sight_loss(guess: Tensor, sight: Tensor) -> Tensor:
    """Loss of a guess (F, 4) of where the target is in frames; the truth is `Episode.sight`.

    Frames without a known truth (NaN) do not count; the loss is zero if there are no others.
    """
    known = ~sight[:, 0].isnan()
    if not known.any():
        return guess.sum() * 0.0
    guess, sight = guess[known], sight[known]
    visible = sight[:, 0]
    seen = nn.functional.binary_cross_entropy_with_logits(guess[:, 0], visible)
    where = nn.functional.smooth_l1_loss(guess[:, 1:], sight[:, 1:], beta=0.1, reduction="none")
    return seen + (where.sum(1) * visible).sum() / visible.sum().clamp(min=1.0)
