"""Settings of the safety layer in a recording, as JSON, and their changes during a flight."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from liquid_nav.command import CommandLimits
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.safety.layer import Geofence, SafetyConfig, Staleness


class Reconfigured(NamedTuple):
    """A change of settings: `safety` is in force from `arrival` ns on."""

    arrival: int
    safety: SafetyConfig


def encode(safety: SafetyConfig) -> str:
    """Convert settings to JSON by the names of their fields; `decode` returns them bit for bit."""
    return json.dumps(
        asdict(safety)
        | {
            "staleness": {c.value: asdict(ages) for c, ages in safety.staleness.items()},
            "frozen": {c.value: age for c, age in safety.frozen.items()},
        }
    )


def decode(text: str) -> SafetyConfig:
    """Read settings from the text that `encode` wrote; a missing field has its default.

    Raises:
        ConfigError: when the text is anything else.

    """
    try:
        fields = json.loads(text)
        readers: dict[str, Callable[[Any], Any]]
        readers = {
            "limits": _limits,
            "staleness": _staleness,
            "geofence": _fence,
            "frozen": _ages,
            "cross_checks": _switch,
        }
        read = {str(name): readers.get(name, float)(value) for name, value in fields.items()}
        return replace(SafetyConfig(), **read)
    except ConfigError:
        raise
    # The text comes from outside: after any error it does not hold settings.
    except Exception as error:
        raise ConfigError(f"not settings of the safety layer: {error!r:.120}") from error


def differences(safety: SafetyConfig) -> str:
    """Name the settings that are not at their defaults, with their values.

    A channel without staleness is left out: the recorded flight did not need it, and a recording of
    before there was such a channel cannot have it.
    """
    default, own = (_flat(json.loads(encode(each))) for each in (SafetyConfig(), safety))
    names = [
        name
        for name in {**default, **own}
        if own.get(name) != default.get(name)
        if name in own or not name.startswith("staleness.")
    ]
    return ", ".join(f"{name} {own.get(name)}" for name in names) or "all at their defaults"


def limited(safety: SafetyConfig, limits: Mapping[str, float]) -> SafetyConfig:
    """Return the settings with other limits, and a landing speed within the limit of vz.

    Raises:
        ConfigError: on a limit that is unknown, out of range, or contradicts other settings.

    """
    known = asdict(safety.limits)
    for name in limits:
        if name not in known:
            raise ConfigError(f"unknown limit {name!r}, choose from {', '.join(known)}")
    chosen = replace(safety.limits, **limits)
    return replace(safety, limits=chosen, landing_speed=min(safety.landing_speed, chosen.vz))


def _limits(values: Any) -> CommandLimits:
    return CommandLimits(**{str(name): float(value) for name, value in values.items()})


def _staleness(values: Any) -> dict[Channel, Staleness]:
    return {
        Channel(name): Staleness(float(ages["hover"]), float(ages["land"]))
        for name, ages in values.items()
    }


def _fence(values: Any) -> Geofence | None:
    if values is None:
        return None
    low, high = ([float(x) for x in values[end]] for end in ("low", "high"))
    return Geofence(
        (low[0], low[1], low[2]), (high[0], high[1], high[2]), float(values["deceleration"])
    )


def _ages(values: Any) -> dict[Channel, float]:
    return {Channel(name): float(age) for name, age in values.items()}


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"not true or false: {value!r}")
    return value


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
