"""Losses of training: of the commands, and of what the policy reads from a frame."""

from torch import Tensor, nn

from liquid_nav.learning.data.sequences import Batch


def command_loss(commands: Tensor, batch: Batch) -> Tensor:
    """Smooth-L1 distance of commands (B, K, 4) from their labels, over valid events."""
    loss = nn.functional.smooth_l1_loss(commands, batch.label, beta=0.2, reduction="none")
    return loss.mean(2)[batch.valid].mean()


def sight_loss(guess: Tensor, sight: Tensor) -> Tensor:
    """Loss of a guess (F, SIGHT) of what frames show; the truth is `Episode.sight`.

    What is not known (NaN) does not count; the loss is zero if nothing is known.
    """
    return _aim_loss(guess[:, :4], sight[:, :4]) + _free_space_loss(guess[:, 4:], sight[:, 4:])


def _aim_loss(guess: Tensor, aim: Tensor) -> Tensor:
    """Loss of visibility, azimuth, elevation and inverse range of the aim, (F, 4)."""
    known = ~aim[:, 0].isnan()
    if not known.any():
        return guess.sum() * 0.0
    guess, aim = guess[known], aim[known]
    visible = aim[:, 0]
    seen = nn.functional.binary_cross_entropy_with_logits(guess[:, 0], visible)
    where = nn.functional.smooth_l1_loss(guess[:, 1:], aim[:, 1:], beta=0.1, reduction="none")
    return seen + (where.sum(1) * visible).sum() / visible.sum().clamp(min=1.0)


def _free_space_loss(guess: Tensor, free: Tensor) -> Tensor:
    """Loss of inverse free distances (F, SECTORS)."""
    known = ~free[:, 0].isnan()
    if not known.any():
        return guess.sum() * 0.0
    error = nn.functional.smooth_l1_loss(guess[known], free[known], beta=0.1, reduction="none")
    return error.sum(1).mean()
