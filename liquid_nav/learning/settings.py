"""Settings of a training run as a TOML file that travels with the policy.

The file holds all that ``liquid-nav train`` was told, except what changes no result: the number of
processes and the device. ``liquid-nav train --settings FILE`` trains such a policy again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from liquid_nav.errors import ConfigError, LiquidNavError
from liquid_nav.learning.config import TrainingConfig

LOCAL = ("workers", "device")
"""Fields of `TrainingConfig` that belong to the machine and not to the policy."""


@dataclass(frozen=True)
class RunSettings:
    """What a policy is trained for, its architecture, and how it is trained.

    Attributes:
        task: name of the task.
        difficulty: how hard the flights are, from 0 to 1.
        speed: how fast to fly, as a multiple of the usual speeds.
        channels: names of the encoders, in the order of the latch.
        optional: names of those whose channels the policy flies without.
        cell: name of the recurrent cell.
        units: number of its neurons.
        cell_options: further arguments of the cell.
        start: model bundle whose weights training starts from; None for random ones.
        recorded: folder of further episodes; None for none.
        photographs: folder of photographs that become grounds; None for none.
        training: settings of the training.

    """

    task: str
    difficulty: float
    speed: float
    channels: tuple[str, ...]
    cell: str
    units: int
    optional: tuple[str, ...] = ()
    cell_options: Mapping[str, Any] = field(default_factory=dict)
    start: Path | None = None
    recorded: Path | None = None
    photographs: Path | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_toml(self) -> str:
        """Write as TOML; `read_settings` reads it."""
        training = asdict(self.training)
        lines = [
            "# How this policy was trained. To train it again:",
            "#     liquid-nav train --settings settings.toml --out runs/again",
            *(
                f"{name.name} = {_value(getattr(self, name.name))}"
                for name in fields(self)
                if name.name != "training" and getattr(self, name.name) is not None
            ),
            "",
            "[training]",
            *(f"{name} = {_value(training[name])}" for name in training if name not in LOCAL),
        ]
        return "\n".join(lines) + "\n"


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Returns:
        The values that it holds, by the names of the fields of `RunSettings`; `training` is a whole
        `TrainingConfig` with the defaults of what the file does not hold.

    Raises:
        ConfigError: on a file that cannot be read or is not TOML, an unknown name, or a value of
            another type or out of its range.

    """
    from liquid_nav_sim.toml_files import read_toml

    what = f"settings {path}"
    try:
        table = read_toml(path, what)
    except LiquidNavError as error:
        raise ConfigError(str(error)) from error
    training = table.pop("training", {})
    if not isinstance(training, dict):
        raise ConfigError(f"{what}: training must be a table, got {training!r:.120}")
    _check_names(what, table, [each.name for each in fields(RunSettings)])
    _check_names(f"{what}, training", training, [each.name for each in fields(TrainingConfig)])
    for name, value in table.items():
        kind, words = _KINDS[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError(f"{what}: {name} must be {words}, got {value!r:.120}")
    for key in ("channels", "optional"):
        names = table.get(key, [])
        if not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{what}: {key} must be names of encoders, got {names!r:.120}")
        if key in table:
            table[key] = tuple(names)
    for name in ("start", "recorded", "photographs"):
        if name in table:
            table[name] = Path(table[name])
    try:
        return {**table, "training": TrainingConfig(**training)}
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


_KINDS: Mapping[str, tuple[Any, str]] = {
    "task": (str, "the name of a task"),
    "difficulty": ((int, float), "a number"),
    "speed": ((int, float), "a number"),
    "channels": (list, "a list of names"),
    "optional": (list, "a list of names"),
    "cell": (str, "the name of a cell"),
    "units": (int, "a whole number"),
    "cell_options": (dict, "a table"),
    "start": (str, "the path of a model bundle"),
    "recorded": (str, "the path of a folder"),
    "photographs": (str, "the path of a folder"),
}


def _check_names(what: str, table: Mapping[str, Any], known: list[str]) -> None:
    unknown = [name for name in table if name not in known]
    if unknown:
        raise ConfigError(f"{what}: there is no setting {unknown[0]!r}, only {', '.join(known)}")


def _value(value: Any) -> str:
    """Write one value in TOML."""
    if isinstance(value, Mapping):
        # An option that is None is left out: TOML has no word for it.
        held = {name: each for name, each in value.items() if each is not None}
        pairs = (f"{json.dumps(name)} = {_value(each)}" for name, each in held.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    # Text, whole numbers and true and false are written in TOML as in JSON.
    return json.dumps(str(value) if isinstance(value, Path) else value)
