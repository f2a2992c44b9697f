"""Checks that compare a measurement with those before it and with other sensors."""

import math
from collections.abc import Collection, Mapping

from liquid_nav.events import (
    SECOND,
    TAKEN_IN,
    CameraFrame,
    Channel,
    Event,
    ImuSample,
    Odometry,
    RangeSample,
)
from liquid_nav.safety.frames import FrameChecks
from liquid_nav.safety.freshness import FOR_EVER
from liquid_nav.safety.gravity import GravityCheck
from liquid_nav.safety.layer import SafetyConfig
from liquid_nav.safety.liveness import ImuLiveness
from liquid_nav.safety.motion import OdometryChecks, RepeatCheck
from liquid_nav.safety.screening import FreezeDetector
from liquid_nav.safety.warnings import SensorWarnings

PACE = 16
"""Measurements over which a rate is measured."""


class SensorChecks:
    """Finds sensors that are frozen, dead in part, or set up wrongly.

    Args:
        config: settings of the safety layer, of which `frozen` and `cross_checks` are used.
        channels: those that the policy reads.

    Attributes:
        warnings: what is worth a look before take-off.
        unfit: why the IMU must not fly, see `GravityCheck`; empty if it may, or if the policy does
            not read it.

    """

    def __init__(self, config: SafetyConfig, channels: Collection[Channel] = TAKEN_IN) -> None:
        self._channels = channels
        self.warnings = SensorWarnings()
        self._freeze = FreezeDetector(config.frozen)
        self._imu = ImuLiveness(self.warnings)
        self._gravity = GravityCheck(self.warnings)
        self._frames = FrameChecks(self.warnings)
        self._odometry = OdometryChecks(self.warnings)
        self._repeats = {
            channel: RepeatCheck(self.warnings, channel)
            for channel in (Channel.ODOMETRY, Channel.RANGE)
        }
        self.configure(config)
        self.reset()

    def configure(self, config: SafetyConfig) -> None:
        """Change the settings and forget nothing but what is switched off."""
        self._config = config
        self._freeze.limits = config.frozen
        self._imu_limit = config.frozen.get(Channel.IMU)
        if not config.cross_checks:
            self._reset_comparisons()

    def reset(self) -> None:
        """Forget all measurements, and take all warnings back."""
        self._freeze.reset()
        self._imu.reset()
        self._reset_comparisons()

    def _reset_comparisons(self) -> None:
        self.warnings.reset()
        self.unfit = ""
        self._gravity.reset()
        self._frames.reset()
        self._odometry.reset()
        for repeats in self._repeats.values():
            repeats.reset()
        self._last_imu: ImuSample | None = None
        self._paces: dict[Channel, int] = {}

    def objection(self, event: Event) -> str:
        """Remember a measurement; return why it is refused, or an empty string."""
        if isinstance(event, ImuSample):
            self._last_imu = event
            if self._gravity.watching:
                self.weigh(event)
            if self._imu_limit is None:
                return ""
            numbers = event.angular_velocity.tolist() + event.specific_force.tolist()
            return self._imu.objection(numbers, event.stamp, self._imu_limit)
        why = self._freeze.objection(event)
        if self._config.cross_checks:
            why = self._compare(event) or why
        return why

    def weigh(self, sample: ImuSample) -> None:
        """Compare a sample with gravity, whether it is plausible or not."""
        if not self._config.cross_checks:
            return
        numbers = sample.angular_velocity.tolist() + sample.specific_force.tolist()
        self._gravity.add(numbers, sample.stamp)
        if Channel.IMU in self._channels:
            self.unfit = self._gravity.unfit

    def measure_rate(self, channel: Channel, stamp: int, hover: Mapping[Channel, int]) -> None:
        """Compare the rate of a channel with its staleness, every `PACE` measurements of it.

        Args:
            channel: the channel.
            stamp: of its newest measurement, ns.
            hover: ages in ns at which the vehicle hovers, of the channels that are needed.

        """
        before = self._paces.get(channel)
        self._paces[channel] = stamp
        limit = hover.get(channel, FOR_EVER)
        if before is None or limit == FOR_EVER or not self._config.cross_checks:
            return
        period = (stamp - before) / PACE
        self.warnings.set(
            channel,
            "rate",
            f"{SECOND / period:.2g} measurements a second are few: from "
            f"{3 * SECOND / limit:.2g} on, one that is late or lost is no failsafe; raise the "
            f"sensor's rate, or staleness.{channel.value}.hover"
            if 3 * period > limit
            else "",
        )

    def _compare(self, event: Event) -> str:
        if isinstance(event, CameraFrame) and Channel.CAMERA in self._channels:
            rates = () if self._last_imu is None else self._last_imu.angular_velocity.tolist()
            limit = self._config.frozen.get(Channel.CAMERA)
            return self._frames.objection(event, math.hypot(*rates), limit)
        repeats = self._repeats.get(event.channel)
        if repeats is not None and isinstance(event, (Odometry, RangeSample)):
            repeats.add(event)
        if isinstance(event, Odometry):
            self._gravity.locate(event)
            return self._odometry.objection(event)
        return ""
