"""The scan of an LTC by exponential steps: by the native kernel, or in torch.

Where dt is a whole number of `max_step`, the LTC has a kink in dt. The gradient is the one from
below.

Every list of tensors here has this order: u (B, T, I), dt (B, T), v (B, N); leak, leak current and
capacitance (N,); slope, offset and gains of the sensory synapses, then of the recurrent ones.
The torch code puts the batch last, (N, B), as products over synapses run fastest so.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from liquid_nav.liquid.precision import full_precision
from liquid_nav.liquid.scans import kernel_for
from liquid_nav.liquid.synapses import Membrane, Synapses
from liquid_nav.onboard import native

COLUMNS = 64
"""Inputs whose synapses are evaluated at once: more would not fit the processor's cache."""


def ltc_scan(
    u: Tensor,
    dt: Tensor,
    v: Tensor,
    membrane: Membrane,
    sensory: Synapses,
    recurrent: Synapses,
    max_step: float,
    max_substeps: int,
) -> Tensor:
    """Compute the states (B, T, N) of an LTC, for u (B, T, I), dt (B, T) and v (B, N).

    Args:
        membrane: leak conductance, leak current and capacitance, (N,) each.
        sensory: slope and offset (N, I, 1), gains (N, 2, I).
        recurrent: slope and offset (N, N, 1), gains (N, 2, N).
        max_step: seconds, the longest substep but the last.
        max_substeps: at least 1.

    """
    tensors = (u, dt, v, *membrane, *sensory, *recurrent)
    with full_precision(v):
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            states: Tensor = _LtcScan.apply(max_step, max_substeps, *tensors)  # type: ignore[no-untyped-call]
            return states
        return _forward(max_step, max_substeps, tensors, keep=False)[0]


class _LtcScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, max_step: float, max_substeps: int, *tensors: Tensor) -> Tensor:
        ctx.max_step, ctx.max_substeps = max_step, max_substeps
        states, saved, ctx.native = _forward(max_step, max_substeps, tensors, keep=True)
        ctx.save_for_backward(*tensors, states, saved)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, states, saved = ctx.saved_tensors
        needs_u = ctx.needs_input_grad[2]
        if ctx.native is None:
            backward = _TorchBackward(tensors, saved, ctx.max_step, ctx.max_substeps)
            with full_precision(states):
                return (None, None, *backward(states, grad, needs_u))
        tensors = [tensor.contiguous() for tensor in tensors]
        outputs: list[Tensor | None] = [torch.empty_like(tensor) for tensor in tensors]
        if not needs_u:
            outputs[0] = None
        sizes = _sizes(tensors, ctx.max_step, ctx.max_substeps)
        ctx.native.call(
            "ltc_backward", sizes, [*tensors, states, saved, grad.contiguous()], outputs
        )
        return (None, None, *outputs)


def _forward(
    max_step: float, max_substeps: int, tensors: tuple[Tensor, ...], keep: bool
) -> tuple[Tensor, Tensor | None, native.Kernel | None]:
    """Compute the states, and what the backward pass needs; tell which kernel computed them."""
    kernel = kernel_for(tensors[0])
    if kernel is None:
        return *_torch_forward(tensors, max_step, max_substeps), None
    tensors = tuple(tensor.detach().contiguous() for tensor in tensors)
    batch, length, _ = tensors[0].shape
    units = tensors[2].shape[1]
    states = tensors[0].new_empty(batch, length, units)
    # The kernel pads rows of neurons to a multiple of 16.
    padded = -(-units // 16) * 16
    saved = tensors[0].new_empty(length, 4, batch, padded) if keep else None
    sizes = _sizes(tensors, max_step, max_substeps)
    kernel.call("ltc_forward", sizes, list(tensors), [states, saved])
    return states, saved, kernel


def _sizes(tensors: Sequence[Tensor], max_step: float, max_substeps: int) -> native.LtcSizes:
    return native.LtcSizes(*tensors[0].shape, tensors[2].shape[1], max_substeps, max_step)


@torch.no_grad()
def _torch_forward(
    tensors: Sequence[Tensor], max_step: float, max_substeps: int
) -> tuple[Tensor, Tensor]:
    """Compute the states (B, T, N), and the drive (N, 2, T B) for the backward pass."""
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


class _TorchBackward:
    """Gradients of all tensors, from the gradient of the states."""

    def __init__(
        self, tensors: Sequence[Tensor], drive: Tensor, max_step: float, max_substeps: int
    ) -> None:
        self.u, self.dt, self.v, _, _, capacitance = tensors[:6]
        self.sensory, self.recurrent = _split(tensors)
        self.capacitance, self.drive = capacitance.unsqueeze(1), drive
        self.max_step, self.max_substeps = max_step, max_substeps
        self.dt_grad = torch.zeros_like(self.dt)
        self.drive_grad = torch.zeros_like(drive)
        self.capacitance_grad = torch.zeros_like(self.capacitance)
        self.recurrent_grads = [torch.zeros_like(part) for part in self.recurrent]
        self.sensory_grads = [torch.zeros_like(part) for part in self.sensory]

    @torch.no_grad()
    def __call__(self, states: Tensor, grad: Tensor, needs_u: bool) -> tuple[Tensor | None, ...]:
        """Go backward in time; the gradient of u is None if it is not needed."""
        # Tensors that are not contiguous cost several times as much to multiply.
        starts = torch.cat((self.v.unsqueeze(1), states[:, :-1]), 1)
        starts = starts.permute(1, 2, 0).contiguous()
        grads = grad.permute(1, 2, 0).contiguous()
        carry = torch.zeros_like(starts[0])
        for k in reversed(range(self.dt.shape[1])):
            carry = self._interval(k, starts[k], carry + grads[k])
        u_grad = self._inputs(needs_u)
        leak_grad, leak_current_grad = self.drive_grad.sum(2).unbind(1)
        return (
            u_grad,
            self.dt_grad,
            carry.t(),
            leak_grad,
            leak_current_grad,
            self.capacitance_grad.squeeze(1),
            *self.sensory_grads,
            *self.recurrent_grads,
        )

    def _interval(self, k: int, x: Tensor, carry: Tensor) -> Tensor:
        """Turn the gradient (N, B) of the state after interval k into that of the one before, x."""
        batch = self.dt.shape[0]
        here = slice(k * batch, (k + 1) * batch)
        trajectory = []
        for rest, ends in _substeps(self.dt[:, k], self.max_step, self.max_substeps):
            opening = _open(x, self.recurrent)
            gates = _gates(self.drive[:, :, here], opening, self.recurrent)
            conductance, current = gates.unbind(1)
            rate = conductance / self.capacitance
            # Beyond 700 nothing of v is left, and infinity times zero would be NaN.
            z = (rest * rate).clamp(max=700.0)
            share, target = -torch.expm1(-z), current / conductance
            trajectory.append((x, ends, opening, conductance, rate, z, share, target))
            x = torch.lerp(x, target, share)
        for x, ends, opening, conductance, rate, z, share, target in reversed(trajectory):
            kept = 1.0 - share
            z_grad = carry * (target - x) * kept
            self.dt_grad[:, k] += torch.where(ends, (z_grad * rate).sum(0), 0.0)
            self.capacitance_grad -= (z_grad * z / self.capacitance).sum(1, keepdim=True)
            current_grad = carry * share / conductance
            conductance_grad = z_grad * z / conductance - current_grad * target
            gates_grad = torch.stack((conductance_grad, current_grad), 1)
            self.drive_grad[:, :, here] += gates_grad
            carry = carry * kept + _open_backward(
                x, opening, self.recurrent, gates_grad, self.recurrent_grads, True
            )
        return carry

    def _inputs(self, needs_u: bool) -> Tensor | None:
        """Compute the gradients of the sensory synapses, and of u (B, T, I) if it is needed."""
        batch, length = self.dt.shape
        u_grads = []
        columns = _columns(self.u).split(COLUMNS, 1)
        for x, part in zip(columns, self.drive_grad.split(COLUMNS, 2), strict=True):
            opening = _open(x, self.sensory)
            u_grads.append(
                _open_backward(x, opening, self.sensory, part, self.sensory_grads, needs_u)
            )
        if not needs_u:
            return None
        u_grad: Tensor = torch.cat(u_grads, 1).t().unflatten(0, (length, batch)).transpose(0, 1)
        return u_grad


def _split(tensors: Sequence[Tensor]) -> tuple[Synapses, Synapses]:
    return (tensors[6], tensors[7], tensors[8]), (tensors[9], tensors[10], tensors[11])


def _columns(u: Tensor) -> Tensor:
    """Rearrange inputs (B, T, I) to columns (I, T B)."""
    return u.permute(2, 1, 0).flatten(1).contiguous()


def _substeps(dt: Tensor, max_step: float, max_substeps: int) -> list[tuple[Tensor, Tensor]]:
    """Cut dt (B,): give the duration of each substep, and for which elements it is the last."""
    # This looks at one value; most intervals are shorter than a substep.
    if dt.numel() == 0 or max_substeps == 1 or float(dt.max()) <= max_step:
        return [(dt, torch.ones_like(dt, dtype=torch.bool))]
    substeps = []
    for i in range(max_substeps):
        # An element that has arrived has no time left, and no time changes nothing.
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
    """Compute the openings (N, J, E) of synapses from x (J, E)."""
    slope, offset, _ = synapses
    # Three times as fast as addcmul, which does not vectorise over broadcast operands.
    return torch.mul(slope, x).add_(offset).sigmoid_()


def _gates(total: Tensor, opening: Tensor, synapses: Synapses) -> Tensor:
    """Add the conductance and current of synapses with these openings to `total` (N, 2, E)."""
    return torch.baddbmm(total, synapses[2], opening)


def _open_backward(
    x: Tensor,
    opening: Tensor,
    synapses: Synapses,
    grad: Tensor,
    sums: list[Tensor],
    needs_x: bool,
) -> Tensor:
    """Add the gradients of `synapses` to `sums`, from that of conductance and current (N, 2, E).

    Returns the gradient of x (J, E) if it is needed, and otherwise x itself.
    """
    slope, _, gains = synapses
    sums[2].baddbmm_(grad, opening.transpose(1, 2))
    products = torch.bmm(gains.transpose(1, 2), grad)
    inner: Tensor = torch.ops.aten.sigmoid_backward(products, opening)
    sums[1].add_(inner.sum(2, keepdim=True))
    sums[0].add_((inner * x).sum(2, keepdim=True))
    if not needs_x:
        return x
    return inner.mul_(slope).sum(0)
