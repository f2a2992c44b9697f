"""Model bundles: a directory with a policy, its weights, and a manifest with their checksums.

``policy.pt`` is the network in TorchScript. ``weights.safetensors`` holds the same parameters for
training and inspection. ``native.safetensors`` holds them in the form that flies without torch, if
the network has one. ``settings.toml``, if the bundle came from a training run, holds what trains
such a policy again. ``manifest.json`` holds the configuration, provenance, evaluation figures and
the SHA-256 of every file and of its own content.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.events import Channel
from liquid_nav.files import restore_folder, write_whole
from liquid_nav.onboard import native
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.network import read_folded
from liquid_nav.onboard.policy import Policy
from liquid_nav.onboard.runtime import NativeRuntime, Runtime, agrees
from liquid_nav.registry import Registry

FORMAT = "liquid-nav-policy/2"
OLD_FORMATS = ("liquid-nav-policy/1",)
"""Older formats that can still be read. Format 1 has the channels camera and imu only."""

MANIFEST = "manifest.json"
SCRIPT = "policy.pt"
WEIGHTS = "weights.safetensors"
NATIVE = "native.safetensors"
SETTINGS = "settings.toml"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        task: the task that the policy was trained for.
        config: its architecture.
        training: how it was trained: seeds, amounts of data, settings, versions, and as `rates` how
            many measurements per second each channel had; plain JSON types.
        evaluation: closed-loop figures; plain JSON types.

    """

    task: str
    config: PolicyConfig
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]

    @property
    def speed(self) -> float:
        """Multiple of the usual speeds at which the policy was trained to fly; 1 if not given."""
        task = self.training.get("task")
        speed = task.get("speed", 1.0) if isinstance(task, Mapping) else 1.0
        return float(speed) if isinstance(speed, (int, float)) and 0 < speed < math.inf else 1.0

    @property
    def rates(self) -> dict[Channel, tuple[float, float]]:
        """Slowest and fastest rate of each channel in training, Hz; empty if it does not say."""
        rates = self.training.get("rates", {})
        known = {
            name: _rate_range(value)
            for name, value in (rates.items() if isinstance(rates, Mapping) else ())
            if name.isidentifier()
        }
        return {Channel(name): limits for name, limits in known.items() if limits is not None}


def _rate_range(value: Any) -> tuple[float, float] | None:
    """Read the slowest and the fastest rate, or a mean alone; None if it is neither."""
    if isinstance(value, (int, float)):
        # Policies that met one rate only flew as well with half of the frames, and twice as many
        # IMU samples are common.
        value = (0.4 * value, 3.0 * value)
    if not (isinstance(value, Sequence) and len(value) == 2):
        return None
    if not all(isinstance(rate, (int, float)) and 0 < rate < math.inf for rate in value):
        return None
    return float(value[0]), float(value[1])


def read_manifest(path: Path | str) -> Manifest:
    """Read the manifest of the bundle at `path` and check every file against it.

    Raises:
        BundleError: when the bundle is missing, incomplete, or any byte of it has changed, or
            `path` is no path.

    """
    path = as_path(path)
    content = read_content(path)
    # The manifest must list the native form; otherwise anyone could add one to the folder.
    optional = [NATIVE] if NATIVE in content["files"] or (path / NATIVE).exists() else []
    optional += [SETTINGS] if SETTINGS in content["files"] else []
    for name in (SCRIPT, WEIGHTS, *optional):
        expected = content["files"].get(name)
        if not (path / name).is_file():
            raise BundleError(f"model bundle {path} lacks {name}")
        try:
            digest = sha256(path / name)
        except OSError as error:
            raise BundleError(f"{path / name} cannot be read: {error}") from error
        if digest != expected:
            raise BundleError(
                f"{path / name} is damaged or was changed: its SHA-256 differs from the manifest's"
            )
    try:
        config = PolicyConfig.from_dict(content["config"])
    except ConfigError as error:
        raise BundleError(f"{path / MANIFEST}: {error}") from error
    return Manifest(content["task"], config, content["training"], content["evaluation"])


def as_path(path: Path | str) -> Path:
    """Return the path of a bundle, which may be given as text.

    Raises:
        BundleError: on anything else.

    """
    if not isinstance(path, (str, os.PathLike)):
        raise BundleError(f"a model bundle is named by its path, got {path!r:.120}")
    return Path(path)


def load_policy(path: Path | str, pinned: str = "", runtime: str = "") -> tuple[Policy, Manifest]:
    """Load the policy that flies from the bundle at `path`.

    The first of `RUNTIMES` that can evaluate it here does so. The first, `load_native`, needs no
    torch and does not execute ``policy.pt``, which is a program.

    Args:
        path: path of the bundle, a directory.
        pinned: SHA-256 that its ``manifest.json`` must have, in hexadecimal; empty accepts any. The
            manifest holds the SHA-256 of the other files, so pinning it pins the whole policy.
        runtime: name of the only runtime to use; empty tries all of them in order.

    Raises:
        BundleError: as `read_manifest`, when the manifest is not the pinned one, when a file does
            not match its manifest, when no runtime can evaluate the policy here, or on an argument
            of another type.

    """
    for name, text in (("pinned", pinned), ("runtime", runtime)):
        if not isinstance(text, str):
            raise BundleError(f"{name} must be text, got {text!r:.120}")
    path = as_path(path)
    manifest = read_manifest(path)
    if pinned and sha256(path / MANIFEST) != pinned.lower():
        raise BundleError(f"the SHA-256 of {path / MANIFEST} is not the pinned one, {pinned}")
    evaluated = _evaluated(path, manifest.config, [runtime] if runtime else _IN_TURN)
    return Policy(manifest.config, evaluated), manifest


def _evaluated(path: Path, config: PolicyConfig, names: Sequence[str]) -> Runtime:
    """Load the first of the named runtimes that can evaluate the bundle at `path`."""
    refused = []
    for name in names:
        try:
            runtime = RUNTIMES.get(name)(path, config)
        except ConfigError as error:  # noqa: PERF203
            logger.info("%s: the runtime %s cannot evaluate it: %s", path, name, error)
            refused.append(f"{name}: {error}")
        else:
            logger.info("%s: the runtime %s evaluates it", path, name)
            return runtime
    raise BundleError(f"no runtime can evaluate {path} here; {'; '.join(refused)}")


def load_native(bundle: Path, config: PolicyConfig) -> NativeRuntime:
    """Load the native form of a bundle, where its commands on the `probe` are those of TorchScript.

    Raises:
        ConfigError: if there is no kernel or no native form for it, or if its commands differ.
        BundleError: when the file does not hold a policy of this configuration.

    """
    path = bundle / NATIVE
    if native.kernel is None:
        raise ConfigError("the native kernel is not built or switched off")
    if not path.is_file():
        raise ConfigError(f"the bundle has no {NATIVE}")
    try:
        read = read_folded(path)
        if read is not None:
            network, expected = read
            runtime = NativeRuntime(config, network)
            agreed = agrees(runtime, config, expected)
    except (ConfigError, OSError, TypeError, ValueError) as error:
        raise BundleError(f"{path} is not a policy of its manifest: {error}") from error
    if read is None:
        raise ConfigError(f"{NATIVE} was made for another version of the kernel")
    if not agreed:
        raise ConfigError(f"the commands of {NATIVE} are not those of TorchScript")
    return runtime


RUNTIMES: Registry[Callable[[Path, PolicyConfig], Runtime]] = Registry(
    "liquid_nav.runtimes",
    "runtime",
    {
        "native": load_native,
        "folded": "liquid_nav.policy.scripted:load_folded",
        "torchscript": "liquid_nav.policy.scripted:load_scripted",
    },
)
"""Functions that load the bundle of a directory, by the name of the runtime. One that cannot raises
ConfigError, and the next one is tried. Those that need torch are imported only when tried."""

_IN_TURN = ("native", "folded", "torchscript")


def read_content(path: Path) -> dict[str, Any]:
    """Read ``manifest.json`` of the bundle at `path` as plain JSON, without its own SHA-256.

    Raises:
        BundleError: when it is missing, not of this format, or does not match its own SHA-256.

    """
    restore_folder(path)
    if not path.is_dir():
        raise BundleError(f"no model bundle at {path}: it must be a directory with a {MANIFEST}")
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"model bundle {path} lacks {MANIFEST}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path / MANIFEST} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") not in (FORMAT, *OLD_FORMATS):
        raise BundleError(f"{path / MANIFEST} is not of format {FORMAT}")
    missing = {"task", "config", "training", "evaluation", "files"} - content.keys()
    if missing:
        raise BundleError(f"{path / MANIFEST} lacks {', '.join(sorted(missing))}")
    for name in ("config", "training", "evaluation", "files"):
        if not isinstance(content[name], dict):
            raise BundleError(f"{path / MANIFEST}: {name} must be an object")
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise BundleError(
            f"{path / MANIFEST} is damaged or was changed: it does not match its own SHA-256"
        )
    return content


def write_content(directory: Path, content: dict[str, Any]) -> None:
    """Write ``manifest.json`` of a bundle, with its own SHA-256, whole or not at all."""
    text = json.dumps(content | {"sha256": _digest(content)}, indent=2) + "\n"
    write_whole(directory / MANIFEST, text)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
