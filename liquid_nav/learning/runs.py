"""Keep a training run on disk, so that it can be interrupted at any time and continued.

The folder of a run holds::

    settings.json         settings of the run; it continues with the same settings only
    data/round2/17.npz    flights, one episode a file
    rounds/002/model/     the model bundle after round 2
    rounds/002/state.pt   the rest of the training state after round 2: optimiser, random numbers
    model -> rounds/002/model
    tensorboard/          logs

A round is written to a hidden folder, flushed to disk and renamed, so it is there as a whole or not
at all: bundle and state always belong together. Then the link ``model`` is replaced in one step,
and the round before is deleted. A run continues from the newest round on disk, after it has
repaired the link.
"""

import json
import logging
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from liquid_nav.errors import ConfigError
from liquid_nav.files import put_in_place, replace_folder, staging_path, write_whole
from liquid_nav.onboard import Manifest
from liquid_nav.onboard.bundle import WEIGHTS, sha256
from liquid_nav.policy import PolicyNetwork, load_network, save_bundle

logger = logging.getLogger(__name__)

MODEL, STATE, SETTINGS, ROUNDS = "model", "state.pt", "settings.json", "rounds"


@dataclass(frozen=True, eq=False)
class KeptRound:
    """The training state at the end of a round.

    Attributes:
        network: the network, with the weights of that time.
        state: the rest of the training state, as given to `Run.keep`.

    """

    network: PolicyNetwork
    state: Mapping[str, Any]


class Run:
    """The folder of a training run.

    Args:
        path: the folder; it is created when it does not exist.
        settings: everything that the run depends on, as plain JSON types.

    Attributes:
        bundle: path of the newest model bundle, a link; it exists once a round is kept.

    Raises:
        ConfigError: when the folder holds a run with other settings, or one that cannot be
            continued.
        OSError: when the folder cannot be written to.

    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.bundle = path / MODEL
        if (path / "checkpoint.pt").exists() or (
            self.bundle.exists() and not self.bundle.is_symlink()
        ):
            raise ConfigError(
                f"{path} holds a run of an older version of liquid_nav, which cannot be continued; "
                f"its bundle {self.bundle} can still be flown; choose another folder for a new run"
            )
        path.mkdir(parents=True, exist_ok=True)
        self._check_settings(settings)
        self._remove_leftovers()

    def episode(self, round_: int, seed: int) -> Path:
        """Return the path of the file of one flight."""
        return self.path / "data" / f"round{round_}" / f"{seed}.npz"

    def newest(self) -> KeptRound | None:
        """Read the newest round, or return None if there is none yet.

        Raises:
            BundleError: when the bundle of the round is damaged.
            ConfigError: when its state is damaged or belongs to another bundle.

        """
        kept = self._kept()
        if not kept:
            return None
        self._publish(kept[-1])
        path = kept[-1] / STATE
        advice = f"delete {kept[-1]} to train again on the flights in {self.path / 'data'}"
        try:
            state = torch.load(path, weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise ConfigError(f"{path} is damaged; {advice}") from error
        if state.pop("weights_sha256", None) != sha256(kept[-1] / MODEL / WEIGHTS):
            raise ConfigError(f"{path} does not belong to the bundle next to it; {advice}")
        network, _ = load_network(kept[-1] / MODEL)
        return KeptRound(network, state)

    def keep(
        self, round_: int, network: PolicyNetwork, manifest: Manifest, state: Mapping[str, Any]
    ) -> None:
        """Keep the end of a round in place of the round before.

        Args:
            round_: number of the round.
            network: the network; its weights are kept in the bundle.
            manifest: manifest of the bundle.
            state: everything else that is needed to continue, as `torch.save` accepts it.

        Raises:
            BundleError: when the bundle cannot be written.
            OSError: when another file cannot be written; the round before is then still there.

        """
        place = self.path / ROUNDS / f"{round_:03d}"
        staging = staging_path(place)
        staging.mkdir(parents=True)
        try:
            save_bundle(staging / MODEL, network, manifest)
            weights_sha256 = sha256(staging / MODEL / WEIGHTS)
            torch.save({**state, "weights_sha256": weights_sha256}, staging / STATE)
            replace_folder(staging, place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._publish(place)

    def _kept(self) -> list[Path]:
        """Folders of the kept rounds, oldest first."""
        return sorted(path for path in (self.path / ROUNDS).glob("*") if path.name.isdigit())

    def _publish(self, kept: Path) -> None:
        """Let the link ``model`` point to the bundle of a round, and delete the other rounds."""
        target = Path(ROUNDS) / kept.name / MODEL
        if not self.bundle.is_symlink() or self.bundle.readlink() != target:
            link = staging_path(self.bundle)
            link.symlink_to(target)
            put_in_place(link, self.bundle)
        for other in self._kept():
            if other != kept:
                shutil.rmtree(other)

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of a new run, or compare them with those of the run on disk."""
        path = self.path / SETTINGS
        text = json.dumps(settings, indent=2) + "\n"
        if not path.exists():
            write_whole(path, text)
            return
        try:
            begun = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        if begun != json.loads(text):
            raise ConfigError(f"{self.path} holds a run with other settings, see {path}")

    def _remove_leftovers(self) -> None:
        """Delete unfinished files of a process that was killed."""
        for unfinished in self.path.rglob(".*.part"):
            logger.info("deleting %s, which an interrupted process left", unfinished)
            if unfinished.is_dir() and not unfinished.is_symlink():
                shutil.rmtree(unfinished)
            else:
                unfinished.unlink()
