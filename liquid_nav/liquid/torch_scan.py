"""The scans in torch alone, where the native kernel is not: other devices, no compiler.

Nothing here is recorded by autograd; `scan` calls forward and backward. Inside, the batch comes
last, (N, B), as products over synapses run fastest so.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from liquid_nav.liquid.synapses import Synapses

COLUMNS = 64
"""Inputs whose synapses are evaluated at once: more would leave the processor's cache."""


@torch.no_grad()
def ltc_forward(
    tensors: Sequence[Tensor], max_step: float, max_substeps: int
) -> tuple[Tensor, Tensor]:
    """States (B, T, N) and the drive (N, 2, T B) that `ltc_backward` wants.

    `tensors` are u (B, T, I), dt (B, T), v (B, N), leak, leak current, capacitance (N), and slope,
    offset and gains of the sensory and of the recurrent synapses.
    """
    u, dt, v, leak, leak_current, capacitance = tensors[:6]
    sensory, recurrent = _split(tensors)
    batch, length = dt.shape
    columns = _columns(u)
    drive = torch.stack((leak, leak_current), 1).unsqueeze(2).repeat(1, 1, batch * length)
    for part, x in zip(drive.split(COLUMNS, 2), columns.split(COLUMNS, 1), strict=True):
        part.copy_(_gates(part, _open(x, sensory), sensory))
    states = v.new_empty(length, v.shape[1], batch)
    v, capacitance = v.t().contiguous(), capacitance.unsqueeze(1)
    for k, elapsed in enumerate(dt.unbind(1)):
        now = drive[:, :, k * batch : (k + 1) * batch]
        for rest, _ in _substeps(elapsed, max_step, max_substeps):
            conductance, current = _gates(now, _open(v, recurrent), recurrent).unbind(1)
            share = -torch.expm1(-rest * conductance / capacitance)
            v = torch.lerp(v, current / conductance, share)
        states[k] = v
    return states.permute(2, 0, 1).contiguous(), drive


@torch.no_grad()
def ltc_backward(
    tensors: Sequence[Tensor],
    states: Tensor,
    drive: Tensor,
    grad: Tensor,
    max_step: float,
    max_substeps: int,
    wants_u: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients of all `tensors` of `ltc_forward`, from that of the states; u's if wanted."""
    u, dt, v, _, _, capacitance = tensors[:6]
    sensory, recurrent = _split(tensors)
    batch, length = dt.shape
    dt_grad = torch.zeros_like(dt)
    drive_grad = torch.zeros_like(drive)
    recurrent_grads = [torch.zeros_like(part) for part in recurrent]
    sensory_grads = [torch.zeros_like(part) for part in sensory]
    column = capacitance.unsqueeze(1)
    capacitance_grad = torch.zeros_like(column)
    # What is not contiguous costs several times as much to multiply.
    starts = torch.cat((v.unsqueeze(1), states[:, :-1]), 1).permute(1, 2, 0).contiguous()
    grads = grad.permute(1, 2, 0).contiguous()
    carry = torch.zeros_like(starts[0])
    for k in reversed(range(length)):
        here = slice(k * batch, (k + 1) * batch)
        carry = carry + grads[k]
        x = starts[k]
        trajectory = []
        for rest, ends in _substeps(dt[:, k], max_step, max_substeps):
            opening = _open(x, recurrent)
            conductance, current = _gates(drive[:, :, here], opening, recurrent).unbind(1)
            rate = conductance / column
            # Beyond 700 nothing of v is left; infinity times zero would be NaN.
            z = (rest * rate).clamp(max=700.0)
            share, target = -torch.expm1(-z), current / conductance
            trajectory.append((x, ends, opening, conductance, rate, z, share, target))
            x = torch.lerp(x, target, share)
        for x, ends, opening, conductance, rate, z, share, target in reversed(trajectory):
            kept = 1.0 - share
            z_grad = carry * (target - x) * kept
            dt_grad[:, k] += torch.where(ends, (z_grad * rate).sum(0), 0.0)
            capacitance_grad -= (z_grad * z / column).sum(1, keepdim=True)
            current_grad = carry * share / conductance
            conductance_grad = z_grad * z / conductance - current_grad * target
            gates_grad = torch.stack((conductance_grad, current_grad), 1)
            drive_grad[:, :, here] += gates_grad
            carry = carry * kept + _open_backward(
                x, opening, recurrent, gates_grad, recurrent_grads, True
            )
    u_grads = []
    for x, part in zip(_columns(u).split(COLUMNS, 1), drive_grad.split(COLUMNS, 2), strict=True):
        opening = _open(x, sensory)
        u_grads.append(_open_backward(x, opening, sensory, part, sensory_grads, wants_u))
    u_grad = None
    if wants_u:
        u_grad = torch.cat(u_grads, 1).t().unflatten(0, (length, batch)).transpose(0, 1)
    leak_grad, leak_current_grad = drive_grad.sum(2).unbind(1)
    return (
        u_grad,
        dt_grad,
        carry.t(),
        leak_grad,
        leak_current_grad,
        capacitance_grad.squeeze(1),
        *sensory_grads,
        *recurrent_grads,
    )


@torch.no_grad()
def flow_forward(
    drive: Tensor,
    dt: Tensor,
    v: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
) -> Tensor:
    """States (B, T, N), see `scan.flow_scan`."""
    states = []
    for y, elapsed in zip(drive.unbind(1), dt.unbind(1), strict=True):
        if state_weight is not None:
            y = torch.addmm(y, v, state_weight.t())
        target, log_tau = torch.addcmul(offset, scale, y.sigmoid()).chunk(2, 1)
        v = torch.lerp(v, target, -torch.expm1(-elapsed.unsqueeze(1) * torch.exp(-log_tau)))
        states.append(v)
    return torch.stack(states, 1)


@torch.no_grad()
def flow_backward(
    drive: Tensor,
    dt: Tensor,
    before: Tensor,
    state_weight: Tensor | None,
    offset: Tensor,
    scale: Tensor,
    grad: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of drive, dt and v, from that of the states.

    `before` (B, T, N) are the states in which the intervals begin. As they are known, all that does
    not depend on the gradient is computed for the whole sequence at once.
    """
    if state_weight is not None:
        drive = drive + before @ state_weight.t()
    opening = torch.sigmoid(drive)
    target, log_tau = torch.addcmul(offset, scale, opening).chunk(2, 2)
    rate = torch.exp(-log_tau)
    # Beyond 700 nothing of v is left; infinity times zero would be NaN.
    z = (dt.unsqueeze(2) * rate).clamp(max=700.0)
    share = -torch.expm1(-z)
    kept = 1.0 - share
    by_z = (target - before) * kept
    by_drive = torch.cat((share, -by_z * z), 2) * scale * opening * (1.0 - opening)
    carry = torch.zeros_like(before[:, 0])
    totals, drive_grads = [], []
    for now, factor, rest in zip(
        reversed(grad.unbind(1)),
        reversed(by_drive.unbind(1)),
        reversed(kept.unbind(1)),
        strict=True,
    ):
        total = carry + now
        drive_grad = total.repeat(1, 2) * factor
        carry = total * rest
        if state_weight is not None:
            carry = torch.addmm(carry, drive_grad, state_weight)
        totals.append(total)
        drive_grads.append(drive_grad)
    dt_grad = (torch.stack(totals[::-1], 1) * by_z * rate).sum(2)
    return torch.stack(drive_grads[::-1], 1), dt_grad, carry


def _split(tensors: Sequence[Tensor]) -> tuple[Synapses, Synapses]:
    return (tensors[6], tensors[7], tensors[8]), (tensors[9], tensors[10], tensors[11])


def _columns(u: Tensor) -> Tensor:
    """Inputs (B, T, I) as columns (I, T B)."""
    return u.permute(2, 1, 0).flatten(1).contiguous()


def _substeps(dt: Tensor, max_step: float, max_substeps: int) -> list[tuple[Tensor, Tensor]]:
    """Cut dt (B,): the duration of each substep, and in which elements it is the last."""
    # One value to look at; most intervals are shorter than a substep.
    if dt.numel() == 0 or max_substeps == 1 or float(dt.max()) <= max_step:
        return [(dt, torch.ones_like(dt, dtype=torch.bool))]
    substeps = []
    for i in range(max_substeps):
        # An element that is through has no rest, and a substep without duration changes nothing.
        rest = (dt - i * max_step).clamp(min=0.0)
        needed = rest > 0.0 if i else torch.ones_like(dt, dtype=torch.bool)
        if not needed.any():
            break
        if i + 1 < max_substeps:
            more = dt - (i + 1) * max_step > 0.0
            rest = rest.clamp(max=max_step)
        else:
            more = torch.zeros_like(needed)
        substeps.append((rest, needed & ~more))
    return substeps


def _open(x: Tensor, synapses: Synapses) -> Tensor:
    """Openings (N, J, E) of synapses from x (J, E)."""
    slope, offset, _ = synapses
    # Three times as fast as addcmul, which does not vectorise over broadcast operands.
    return torch.mul(slope, x).add_(offset).sigmoid_()


def _gates(total: Tensor, opening: Tensor, synapses: Synapses) -> Tensor:
    """Add to `total` (N, 2, E) the conductance and current of synapses so far open."""
    return torch.baddbmm(total, synapses[2], opening)


def _open_backward(
    x: Tensor,
    opening: Tensor,
    synapses: Synapses,
    grad: Tensor,
    sums: list[Tensor],
    wants_x: bool,
) -> Tensor:
    """Add the gradients of `synapses` to `sums`, from that of conductance and current (N, 2, E).

    Returns the gradient of x (J, E), or something to be ignored when it is not wanted.
    """
    slope, _, gains = synapses
    sums[2].baddbmm_(grad, opening.transpose(1, 2))
    products = torch.bmm(gains.transpose(1, 2), grad)
    inner: Tensor = torch.ops.aten.sigmoid_backward(products, opening)
    sums[1].add_(inner.sum(2, keepdim=True))
    sums[0].add_((inner * x).sum(2, keepdim=True))
    if not wants_x:
        return x
    return inner.mul_(slope).sum(0)
