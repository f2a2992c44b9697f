"""Write model bundles: the network, its weights, its native form and the manifest.

See `liquid_nav.onboard.bundle` for what a bundle holds and how it is read in flight.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.files import replace_folder, restore_folder, write_whole
from liquid_nav.onboard.bundle import (
    FORMAT,
    MANIFEST,
    NATIVE,
    SCRIPT,
    SETTINGS,
    WEIGHTS,
    Manifest,
    as_path,
    read_content,
    read_manifest,
    sha256,
    write_content,
)
from liquid_nav.onboard.config import PolicyConfig
from liquid_nav.onboard.network import write_folded
from liquid_nav.policy.network import PolicyNetwork, current_names
from liquid_nav.policy.scripted import evaluating, folded_script

logger = logging.getLogger(__name__)


def save_bundle(
    path: Path | str, network: PolicyNetwork, manifest: Manifest, settings: str = ""
) -> None:
    """Write a bundle to `path` and replace an older one; it appears whole or not at all.

    The network itself, in training or not, stays as it is.

    Args:
        path: the directory.
        network: the policy's network.
        manifest: what the bundle says about it.
        settings: content of its ``settings.toml``; without any, the bundle has no such file.

    Raises:
        BundleError: when `path` exists and is not a bundle, or cannot be written.

    """
    # A link is kept, and what it points to is replaced.
    path = as_path(path).resolve()
    restore_folder(path)
    if path.exists() and not (path / MANIFEST).is_file():
        raise BundleError(f"{path} exists and is not a model bundle; choose another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise BundleError(f"cannot write a model bundle at {path}: {error}") from error
    try:
        staging.chmod(0o755)
        with evaluating(network):
            scripted = torch.jit.script(network)
        # Through memory: where torch and safetensors write files, a full disk is no OSError.
        write_whole(staging / SCRIPT, scripted.save_to_buffer())
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        write_whole(staging / WEIGHTS, save(weights))
        _save_native(staging / NATIVE, manifest.config, scripted)
        if settings:
            write_whole(staging / SETTINGS, settings)
        content = {
            "format": FORMAT,
            "task": manifest.task,
            "config": manifest.config.to_dict(),
            "training": dict(manifest.training),
            "evaluation": dict(manifest.evaluation),
            "files": {file.name: sha256(file) for file in sorted(staging.iterdir())},
        }
        write_content(staging, content)
        for file in staging.iterdir():
            # Files in temporary directories, and those of safetensors, are for their owner only.
            file.chmod(0o644)
        if path.exists():
            # Keep what the owner added to the bundle, such as its card.
            for extra in path.iterdir():
                if extra.name not in (MANIFEST, SCRIPT, WEIGHTS, NATIVE, SETTINGS):
                    shutil.copy2(extra, staging / extra.name)
        replace_folder(staging, path)
    except OSError as error:
        raise BundleError(f"cannot write a model bundle at {path}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_network(path: Path | str) -> tuple[PolicyNetwork, Manifest]:
    """Load the trainable network from the bundle at `path`.

    Raises:
        BundleError: as `read_manifest`, or when the weights do not fit the configuration.

    """
    path = as_path(path)
    manifest = read_manifest(path)
    try:
        network = PolicyNetwork(manifest.config)
        network.load_state_dict(current_names(load_file(path / WEIGHTS)))
    except (RuntimeError, TypeError, ValueError, MemoryError, SafetensorError) as error:
        raise BundleError(f"{path / WEIGHTS} does not fit its manifest: {error}") from error
    return network, manifest


def annotate_bundle(path: Path | str, evaluation: Mapping[str, Any]) -> None:
    """Replace the evaluation figures in the manifest of the bundle at `path`.

    Raises:
        BundleError: as `read_manifest`.

    """
    path = as_path(path)
    read_manifest(path)
    write_content(path, read_content(path) | {"evaluation": dict(evaluation)})


def _save_native(path: Path, config: PolicyConfig, network: torch.jit.ScriptModule) -> None:
    try:
        folded, expected = folded_script(config, network)
    except ConfigError as error:
        logger.info("the bundle gets no native form, TorchScript will fly it: %s", error)
        return
    write_folded(path, folded, expected)
