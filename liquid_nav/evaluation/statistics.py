"""Statistics over many flights."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liquid_nav.errors import ConfigError
from liquid_nav.evaluation.flight import Flight
from liquid_nav.events import Channel
from liquid_nav.files import write_whole
from liquid_nav_sim.world import Outcome


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927); (0, 1) without a trial.

    Args:
        successes: number of trials that succeeded.
        n: number of trials.
        z: quantile of the normal distribution; 1.96 gives 95 % confidence.

    Raises:
        ConfigError: unless 0 <= successes <= n.

    """
    if not 0 <= successes <= n:
        raise ConfigError(f"wilson needs 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return (0.0, 1.0)
    share, weight = successes / n, z * z / n
    centre = share + weight / 2
    spread = math.sqrt(weight * share * (1 - share) + weight * weight / 4)
    low, high = (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)
    # If nothing or everything succeeded, that end is 0 or 1 exactly; rounding must not move it.
    return (low if successes else 0.0, high if successes < n else 1.0)


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p-value of the exact McNemar test (McNemar 1947) for paired successes.

    If neither of two pilots is better, each flight in which just one of them succeeds is a fair
    coin; the value is the chance of a split at least as uneven as this one.

    Args:
        first_only, second_only: number of flights in which only one of them succeeded.

    Raises:
        ConfigError: on a negative number.

    """
    if first_only < 0 or second_only < 0:
        raise ConfigError(f"mcnemar needs counts >= 0, got {first_only} and {second_only}")
    n, fewer = first_only + second_only, min(first_only, second_only)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << n))


@dataclass(frozen=True)
class Percentiles:
    """Median and 99th percentile; None without measurements."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True)
class FlightSummary:
    """One flight in a summary.

    Attributes:
        seed: its seed.
        outcome: how it ended.
        duration_s: simulated seconds.
        commands_sha256: SHA-256 over its commands; ``liquid-nav replay`` gives the same for the
            recording of the flight.

    """

    seed: int
    outcome: str
    duration_s: float
    commands_sha256: str


@dataclass(frozen=True)
class Summary:
    """Statistics of a benchmark run; its fields are the keys of ``result.json``.

    Attributes:
        episodes: number of finished flights.
        success, collision, timeout: number of flights with each outcome.
        wilson95: 95 % confidence interval of the success rate.
        seed: seed of the first flight; each next flight has the next seed.
        commands_sha256: SHA-256 over the commands of a single flight; of several flights, SHA-256
            over the digests of all of them, in order.
        realtime_factor: simulated seconds per second, with the policy in the loop; None without a
            flight.
        event_to_command_us: per channel, microseconds from an event to the new command.
        flights: each flight, in order.

    """

    episodes: int
    success: int
    collision: int
    timeout: int
    wilson95: tuple[float, float]
    seed: int
    commands_sha256: str
    realtime_factor: float | None
    event_to_command_us: dict[str, Percentiles]
    flights: tuple[FlightSummary, ...]

    @classmethod
    def of(cls, flights: Sequence[Flight], seed: int) -> "Summary":
        """Summarize flights in the order in which they were flown; there may be none."""
        outcomes = Counter(flight.outcome for flight in flights)
        wall = sum(flight.wall for flight in flights)
        simulated = sum(flight.duration for flight in flights)
        # The file has a key for camera and IMU also where no flight had their events.
        channels = dict.fromkeys(c for flight in flights for c in flight.event_to_command)
        return cls(
            episodes=len(flights),
            success=outcomes[Outcome.SUCCESS],
            collision=outcomes[Outcome.COLLISION],
            timeout=outcomes[Outcome.TIMEOUT],
            wilson95=wilson(outcomes[Outcome.SUCCESS], len(flights)),
            seed=seed,
            commands_sha256=_digest(flights).hex(),
            realtime_factor=round(simulated / wall, 2) if wall > 0 else None,
            event_to_command_us={
                channel.value: _percentiles(
                    [t for flight in flights for t in flight.event_to_command.get(channel, ())]
                )
                for channel in {Channel.CAMERA: None, Channel.IMU: None, **channels}
            },
            flights=tuple(
                FlightSummary(f.seed, f.outcome.value, f.duration, f.digest.hex()) for f in flights
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self) | {
            "wilson95": list(self.wilson95),
            "flights": [asdict(flight) for flight in self.flights],
        }

    def save(self, path: Path) -> None:
        """Write to `path` as JSON, whole or not at all."""
        write_whole(path, json.dumps(self.to_dict(), indent=2) + "\n")


def _digest(flights: Sequence[Flight]) -> bytes:
    if len(flights) == 1:
        return flights[0].digest
    return hashlib.sha256(b"".join(flight.digest for flight in flights)).digest()


def _percentiles(values: list[float]) -> Percentiles:
    if not values:
        return Percentiles(None, None)
    p50, p99 = np.percentile(values, (50, 99)).tolist()
    return Percentiles(round(p50, 1), round(p99, 1))
