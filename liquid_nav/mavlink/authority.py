"""Who commands the vehicle: whether setpoints may be sent, and how the first ones begin."""

from dataclasses import replace

from liquid_nav.command import Command, CommandLimits, Mode
from liquid_nav.mavlink.state import AutopilotState
from liquid_nav.values import SECOND

LINK_TIMEOUT = 1.0
"""Seconds without any message of the autopilot after which the link is lost."""

SLEW = CommandLimits().slew
"""How fast the first setpoints may change, per second: m/s^2, and rad/s^2 for the yaw rate."""


class Authority:
    """Follows who commands.

    Before the autopilot is in the mode that follows setpoints, only a hover is sent: PX4 enters
    that mode only while setpoints come. From then on commands are sent, at first no faster than
    `SLEW` away from the velocity that the vehicle has. When the autopilot leaves the mode, is
    disarmed, or falls silent, the authority *lapses*: nothing more is sent, because an autopilot
    that saw setpoints again would go back into the mode by itself, and the vehicle would fly on
    though nobody told it to. It stays so until `release`.

    Attributes:
        held: whether the vehicle follows our setpoints.
        lapsed: why it no longer does, in words; empty if it does, or never did.

    """

    def __init__(self) -> None:
        self.held, self.lapsed = False, ""
        self._last: Command | None = None  # While the first setpoints still change at SLEW.

    def release(self) -> None:
        """Forget that the authority lapsed, on the operator's word; it begins as at first."""
        self.held, self.lapsed, self._last = False, "", None

    def take_over(self) -> None:
        """Go on in the place of another process, whose setpoints the vehicle follows already."""
        self.held, self.lapsed, self._last = True, "", None

    def update(self, state: AutopilotState, now: int, velocity: Command | None) -> None:
        """Follow the autopilot's word.

        Args:
            state: what it says.
            now: ns, on the clock of `state`.
            velocity: that of the vehicle, as a command; None if it is not known.

        """
        if self.lapsed or state.heartbeat is None:
            return
        silent = state.silence(now)
        if self.held and silent > LINK_TIMEOUT:
            self._lapse(f"the autopilot has been silent for {LINK_TIMEOUT:g} s")
        elif self.held and not state.armed:
            self._lapse("the autopilot is disarmed")
        elif self.held and not state.commanded:
            assert state.autopilot is not None
            self._lapse(f"the autopilot went from {state.autopilot.commanded} to {state.mode}")
        elif not self.held and state.commanded and silent <= LINK_TIMEOUT:
            self.held, self._last = True, velocity or Command(now)

    def _lapse(self, why: str) -> None:
        self.held, self.lapsed, self._last = False, why, None

    def begin(self, command: Command, now: int) -> Command:
        """Return a command at `now` ns, slewed from the velocity at which the authority began."""
        last = self._last
        if last is None or command.mode is Mode.STOP:
            return command
        elapsed = max(now - last.stamp, 0) / SECOND
        vector = tuple(
            before + min(max(after - before, -rate * elapsed), rate * elapsed)
            for before, after, rate in zip(last.vector, command.vector, SLEW, strict=True)
        )
        if vector == command.vector:
            self._last = None
            return command
        vx, vy, vz, yaw_rate = vector
        self._last = Command(now, vx, vy, vz, yaw_rate)
        reasons = filter(None, (command.reason, "mavlink: begins at the vehicle's velocity"))
        return replace(command, vx=vx, vy=vy, vz=vz, yaw_rate=yaw_rate, reason="; ".join(reasons))
