"""What a controller expects of each channel, and how what comes differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from liquid_nav.events import Channel
from liquid_nav.onboard import Policy
from liquid_nav.safety.layer import SafetyConfig, Staleness


@dataclass(frozen=True)
class Expectation:
    """What is expected of one channel.

    Attributes:
        channel: the channel.
        needed: whether the vehicle does not fly without it.
        optional: whether the policy uses it where it comes, and flies without it.
        staleness: ages at which its silence is a failsafe; None if one measurement lasts for ever.
        trained_rates: slowest and fastest rate in the training of the policy, Hz; None if unknown.

    """

    channel: Channel
    needed: bool = False
    optional: bool = False
    staleness: Staleness | None = None
    trained_rates: tuple[float, float] | None = None

    def rate_fault(self, rate: float) -> str:
        """Return how far a rate in Hz is from that of training; empty if it is near to it."""
        if self.trained_rates is None:
            return ""
        slowest, fastest = self.trained_rates
        if slowest <= rate <= fastest:
            return ""
        return (
            f"comes at {rate:.3g} Hz, but the policy was trained with {slowest:.3g} to "
            f"{fastest:.3g} Hz: set the rate of the sensor, or train a policy with this one"
        )


def expectations(
    policy: Policy,
    safety: SafetyConfig,
    trained_rates: Mapping[Channel, tuple[float, float]],
    channels: Mapping[Channel, object],
    odometry_needed: bool,
) -> dict[Channel, Expectation]:
    """Say what is expected of each channel.

    Args:
        policy: the policy that flies.
        safety: settings of the safety layer now.
        trained_rates: slowest and fastest by channel, Hz, see `Manifest.rates`.
        channels: every channel that the controller takes in, except the operator's.
        odometry_needed: whether the back-end needs odometry.

    """
    needed = set(policy.needed)
    if odometry_needed or safety.geofence is not None:
        needed.add(Channel.ODOMETRY)
    return {
        channel: Expectation(
            channel,
            channel in needed,
            channel in policy.channels - needed,
            safety.staleness.get(channel) or policy.staleness.get(channel),
            trained_rates.get(channel) if channel in policy.channels else None,
        )
        for channel in channels
        if channel != Channel.OPERATOR
    }
