"""Model bundles: a directory with a policy, its weights, and a manifest that vouches for both.

``policy.pt`` is the network in TorchScript, ``weights.safetensors`` the same parameters for
training and inspection, ``native.safetensors``, where the network allows it, the same once more as
it flies without torch; ``manifest.json`` holds the configuration, provenance, evaluation figures
and the SHA-256 of every file, its own content included.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.onboard import native
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.network import read_folded
from liquid_nav.onboard.policy import Policy
from liquid_nav.onboard.runtime import NativeRuntime, agrees
from liquid_nav.registry import Registry

FORMAT = "liquid-nav-policy/1"
MANIFEST = "manifest.json"
SCRIPT = "policy.pt"
WEIGHTS = "weights.safetensors"
NATIVE = "native.safetensors"

LOADERS: Registry[Callable[[Path, PolicyConfig], Policy]] = Registry(
    "liquid_nav.policy_loaders", "way to load a policy"
)
"""What loads the file of a bundle that is no native form, by name. TorchScript is plugged in by an
entry point, so that what flies natively does not know of torch."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        task: the task that the policy was trained for.
        config: its architecture.
        training: provenance: seeds, amounts of data, settings, versions; plain JSON types.
        evaluation: closed-loop figures; plain JSON types.

    """

    task: str
    config: PolicyConfig
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of the bundle at `path` and check every file against it.

    Raises:
        BundleError: when the bundle is missing, incomplete, or any byte of it has changed.

    """
    content = read_content(path)
    # One that lies there unlisted is nobody's.
    may_be = [NATIVE] if NATIVE in content["files"] or (path / NATIVE).exists() else []
    for name in (SCRIPT, WEIGHTS, *may_be):
        expected = content["files"].get(name)
        if not (path / name).is_file():
            raise BundleError(f"model bundle {path} lacks {name}")
        try:
            digest = sha256(path / name)
        except OSError as error:
            raise BundleError(f"{path / name} cannot be read: {error}") from error
        if digest != expected:
            raise BundleError(
                f"{path / name} is damaged or was changed: its SHA-256 is not the manifest's"
            )
    try:
        config = PolicyConfig.from_dict(content["config"])
    except ConfigError as error:
        raise BundleError(f"{path / MANIFEST}: {error}") from error
    return Manifest(content["task"], config, content["training"], content["evaluation"])


def load_policy(path: Path, pinned: str = "") -> tuple[Policy, Manifest]:
    """Load the policy that flies from the bundle at `path`.

    It flies natively, without torch, where the bundle holds a native form whose commands on the
    `probe` are here those that TorchScript gave; the file ``policy.pt``, a program, is then not
    loaded. Elsewhere TorchScript flies it.

    Args:
        path: of the bundle.
        pinned: SHA-256 that its ``manifest.json`` must have, in hexadecimal; empty takes any. The
            manifest vouches for the other files, so whoever pins it gets this very policy.

    Raises:
        BundleError: as `read_manifest`, when it is not the pinned one, or when a file is not of
            its manifest.

    """
    manifest = read_manifest(path)
    if pinned and sha256(path / MANIFEST) != pinned.lower():
        raise BundleError(f"{path / MANIFEST} has not the SHA-256 that was pinned, {pinned}")
    runtime = _load_native(path / NATIVE, manifest.config)
    if runtime is not None:
        return Policy(manifest.config, runtime), manifest
    load = LOADERS.get("torchscript")
    return load(path / SCRIPT, manifest.config), manifest


def _load_native(path: Path, config: PolicyConfig) -> NativeRuntime | None:
    if not path.is_file() or native.kernel is None:
        return None
    try:
        read = read_folded(path)
        if read is None:
            return None
        folded, vouched = read
        if not folded.fits(config):
            raise ConfigError("its sizes are others")
        runtime = NativeRuntime(folded)
        return runtime if agrees(runtime, config, vouched) else None
    except (ConfigError, OSError, TypeError, ValueError) as error:
        raise BundleError(f"{path} is not a policy of its manifest: {error}") from error


def read_content(path: Path) -> dict[str, Any]:
    """Read ``manifest.json`` of the bundle at `path` as it stands, without its own SHA-256.

    Raises:
        BundleError: when it is missing, not of this format, or does not match its own SHA-256.

    """
    if not path.is_dir():
        raise BundleError(f"no model bundle at {path}: it must be a directory with a {MANIFEST}")
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"model bundle {path} lacks {MANIFEST}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path / MANIFEST} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
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
    staging = directory / f".{MANIFEST}"
    staging.write_text(text, encoding="utf-8")
    staging.replace(directory / MANIFEST)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
