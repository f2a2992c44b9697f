"""What a back-end knows of the autopilot's patience: when it has taken the vehicle over, and stays.

PX4 leaves offboard mode when the proof of life stays away for COM_OF_LOSS_T, and goes back into it
by itself within 50 ms when the proof comes again: a vehicle that is landing, or that somebody
flies by hand, would follow the policy once more without anybody asking for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from liquid_nav.events import Channel
from liquid_nav.ros.parameters import Spec
from liquid_nav.safety.freshness import Staleness

SETPOINT_TIMEOUT = Spec(
    "setpoint_timeout",
    1.0,
    "s without proof of life after which the autopilot takes over: COM_OF_LOSS_T of PX4.",
    (0.1, 60.0),
)
HOLD_AFTER_LOSS = Spec(
    "hold_after_loss",
    True,
    "After a loss of offboard send nothing until the operator releases, by ~/stop with false.",
)

_CAUTION = 0.9
"""Share of the timeout after which the autopilot may have taken over: messages take time."""

PROOF_AGE = "proof_age"
"""Name in a hand-over: s since the last proof of life, infinite when the vehicle was lost."""

SILENCE = "silence"
"""Name in a hand-over: s since the process before was heard of."""


class LossHold:
    """Tells that the autopilot has taken the vehicle over, until the operator releases it.

    Times are on a steady clock, s.

    Args:
        timeout: s without proof of life after which the autopilot takes over; None for never.

    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._limit = math.inf if timeout is None else _CAUTION * timeout
        self._proved_at: float | None = None

    def lost(self, now: float) -> bool:
        """Whether the autopilot has taken the vehicle over."""
        if self._proved_at is not None and now - self._proved_at > self._limit:
            self._proved_at = -math.inf
        return self._proved_at == -math.inf

    def prove(self, now: float) -> None:
        """Note a proof of life that left; without effect while the vehicle is lost."""
        if not self.lost(now):
            self._proved_at = now

    def release(self) -> None:
        """Begin as if no proof of life had ever left."""
        self._proved_at = None

    def handover(self, now: float) -> dict[str, str]:
        """What the next process to command the vehicle must know of this."""
        if self.timeout is None or self._proved_at is None:
            return {}
        return {PROOF_AGE: repr(math.inf if self.lost(now) else now - self._proved_at)}

    def take_over(self, values: Mapping[str, str], now: float) -> None:
        """Go on after another process; a value that is missing or cannot be read says nothing."""
        try:
            proved_at = now - float(values[PROOF_AGE]) - float(values.get(SILENCE, 0.0))
        except (KeyError, ValueError):
            return
        if now - proved_at > self._limit:
            self._proved_at = -math.inf
        elif proved_at == proved_at:  # False for NaN.
            # The other process kept the vehicle meanwhile, however long this one stood still.
            own = -math.inf if self._proved_at is None else self._proved_at
            self._proved_at = max(own, proved_at)


def landings_forestalled(name: str, timeout: float, staleness: Mapping[Channel, Staleness]) -> str:
    """Say which landings the autopilot forestalls; empty if there is none.

    Args:
        name: of a back-end that sends no proof of life while a needed channel is stale.
        timeout: s without proof of life after which its autopilot takes over.
        staleness: of each channel that is needed.

    """
    late = [
        f"staleness.{channel.value}.land {ages.land:g} s (takes over at {ages.hover + timeout:g} s)"
        for channel, ages in staleness.items()
        if ages.land >= ages.hover + timeout
    ]
    if not late:
        return ""
    return (
        f"back-end {name} sends no proof of life while a needed channel is stale, and after "
        f"{timeout:g} s of that the autopilot takes over, before we land: {', '.join(late)}. The "
        "autopilot's own action decides then (COM_OBL_RC_ACT of PX4); a landing of ours needs "
        "land below that"
    )
