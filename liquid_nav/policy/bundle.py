"""Model bundles: a directory with a policy, its weights, and a manifest that vouches for both.

``policy.pt`` is the network in TorchScript, ``weights.safetensors`` the same parameters for
training and inspection, ``native.safetensors``, where the network allows it, the same once more as
it flies without torch; ``manifest.json`` holds the configuration, provenance, evaluation figures
and the SHA-256 of every file, its own content included.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.liquid import native
from liquid_nav.policy.config import PolicyConfig
from liquid_nav.policy.folded import read_folded, write_folded
from liquid_nav.policy.policy import Policy
from liquid_nav.policy.runtime import NativeRuntime, agrees

if TYPE_CHECKING:
    import torch

    from liquid_nav.policy.network import PolicyNetwork

FORMAT = "liquid-nav-policy/1"
MANIFEST = "manifest.json"
SCRIPT = "policy.pt"
WEIGHTS = "weights.safetensors"
NATIVE = "native.safetensors"


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


def save_bundle(path: Path, network: "PolicyNetwork", manifest: Manifest) -> None:
    """Write a bundle at `path`, replacing one that is there; it appears whole or not at all.

    Raises:
        BundleError: when `path` exists and is not a bundle, or cannot be written.

    """
    import torch
    from safetensors.torch import save_file

    # A link stays a link, to the new bundle.
    path = path.resolve()
    if path.exists() and not (path / MANIFEST).is_file():
        raise BundleError(f"{path} exists and is not a model bundle; choose another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise BundleError(f"cannot write a model bundle at {path}: {error}") from error
    try:
        staging.chmod(0o755)
        scripted = torch.jit.script(network.eval())
        scripted.save(str(staging / SCRIPT))
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, staging / WEIGHTS)
        _save_native(staging / NATIVE, manifest.config, scripted)
        content = {
            "format": FORMAT,
            "task": manifest.task,
            "config": manifest.config.to_dict(),
            "training": dict(manifest.training),
            "evaluation": dict(manifest.evaluation),
            "files": {file.name: _sha256(file) for file in sorted(staging.iterdir())},
        }
        _write_manifest(staging, content)
        for file in staging.iterdir():
            # A temporary directory, and what safetensors writes, is for the owner's eyes only.
            file.chmod(0o644)
        if path.exists():
            # What else lies in a bundle (its card) is its owner's: keep it.
            for extra in path.iterdir():
                if extra.name not in (MANIFEST, SCRIPT, WEIGHTS, NATIVE):
                    shutil.copy2(extra, staging / extra.name)
            retired = staging.with_name(staging.name + "-old")
            path.rename(retired)
            staging.rename(path)
            shutil.rmtree(retired)
        else:
            staging.rename(path)
    except OSError as error:
        raise BundleError(f"cannot write a model bundle at {path}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of the bundle at `path` and check every file against it.

    Raises:
        BundleError: when the bundle is missing, incomplete, or any byte of it has changed.

    """
    content = _read_manifest(path)
    # One that lies there unlisted is nobody's.
    may_be = [NATIVE] if NATIVE in content["files"] or (path / NATIVE).exists() else []
    for name in (SCRIPT, WEIGHTS, *may_be):
        expected = content["files"].get(name)
        if not (path / name).is_file():
            raise BundleError(f"model bundle {path} lacks {name}")
        try:
            digest = _sha256(path / name)
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

    Without torch, where the bundle holds a native form whose commands on the `probe` are here those
    that TorchScript gave; the file ``policy.pt``, a program, is then not loaded. Else torch is,
    with one thread: more do not help a batch of one, and could change the order of its sums.

    Args:
        path: of the bundle.
        pinned: SHA-256 that its ``manifest.json`` must have, in hexadecimal; empty takes any. The
            manifest vouches for the other files, so whoever pins it gets this very policy.

    Raises:
        BundleError: as `read_manifest`, when it is not the pinned one, or when a file is not of
            its manifest.

    """
    manifest = read_manifest(path)
    if pinned and _sha256(path / MANIFEST) != pinned.lower():
        raise BundleError(f"{path / MANIFEST} has not the SHA-256 that was pinned, {pinned}")
    runtime = _load_native(path / NATIVE, manifest.config)
    if runtime is not None:
        return Policy(manifest.config, runtime), manifest

    import torch

    torch.set_num_threads(1)
    try:
        network = torch.jit.load(str(path / SCRIPT), map_location="cpu")
        return Policy.of(manifest.config, network.eval()), manifest
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"{path / SCRIPT} is not a policy of its manifest: {error}") from error


def load_network(path: Path) -> "tuple[PolicyNetwork, Manifest]":
    """Load the trainable network from the bundle at `path`.

    Raises:
        BundleError: as `read_manifest`, or when the weights do not fit the configuration.

    """
    from safetensors.torch import load_file

    from liquid_nav.policy.network import PolicyNetwork

    manifest = read_manifest(path)
    try:
        network = PolicyNetwork(manifest.config)
        network.load_state_dict(load_file(path / WEIGHTS))
    except (RuntimeError, TypeError, ConfigError, SafetensorError) as error:
        raise BundleError(f"{path / WEIGHTS} does not fit its manifest: {error}") from error
    return network, manifest


def annotate_bundle(path: Path, evaluation: Mapping[str, Any]) -> None:
    """Replace the evaluation figures in the manifest of the bundle at `path`.

    Raises:
        BundleError: as `read_manifest`.

    """
    read_manifest(path)
    _write_manifest(path, _read_manifest(path) | {"evaluation": dict(evaluation)})


def _save_native(path: Path, config: PolicyConfig, network: "torch.jit.ScriptModule") -> None:
    from liquid_nav.policy.scripted import folded_script

    try:
        folded, vouched = folded_script(config, network)
    except ConfigError:
        # It flies by TorchScript.
        return
    write_folded(path, folded, vouched)


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


def _read_manifest(path: Path) -> dict[str, Any]:
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


def _write_manifest(directory: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content | {"sha256": _digest(content)}, indent=2) + "\n"
    staging = directory / f".{MANIFEST}"
    staging.write_text(text, encoding="utf-8")
    staging.replace(directory / MANIFEST)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
