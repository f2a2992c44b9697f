"""Keep a training run on disk, so that it can be interrupted at any time and continued.

The folder of a run holds::

    settings.json         settings of the run; it continues with the same settings only
    settings.toml         the same for `liquid-nav train --settings`; a copy is in every bundle
    data/round2/17.npz    flights, one episode a file
    validation/002/       outcomes of the flights that judge the policy of round 2
    rounds/002/model/     the model bundle after round 2
    rounds/002/state.pt   the rest of the training state after round 2: optimiser, random numbers
    rounds/002/state.sha256
    model -> rounds/002/model   the bundle of the best round so far
    tensorboard/          logs, a file for each round

One process at a time trains in a folder, see `locked`. A round is written to a hidden folder,
flushed to disk and renamed, so it is there as a whole or not at all: bundle and state always belong
together. The link ``model`` leads to the best round so far and is replaced in one step. A run
continues from the newest round on disk.
"""

import fcntl
import io
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.files import put_in_place, replace_folder, staging_path, write_whole
from liquid_nav.learning.settings import LOCAL
from liquid_nav.onboard import Manifest
from liquid_nav.onboard.bundle import SETTINGS as RECIPE
from liquid_nav.onboard.bundle import WEIGHTS, sha256
from liquid_nav.policy import PolicyNetwork, load_network, save_bundle

logger = logging.getLogger(__name__)

MODEL, STATE, SETTINGS, ROUNDS = "model", "state.pt", "settings.json", "rounds"
STATE_SHA256 = "state.sha256"
FREE = tuple(f"training.{name}" for name in LOCAL)
"""Settings that a run may be continued with other values of: results depend on them by rounding."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from training in the folder `path`, which is created if need be.

    The lock is the system's, on the folder itself: it leaves no file, and goes with the process.

    Raises:
        ConfigError: when another process is training there.
        OSError: when the folder cannot be created or opened.

    """
    path.mkdir(parents=True, exist_ok=True)
    folder = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process is training in {path}: wait until it ends, or choose another "
                "folder"
            ) from error
        except OSError as error:
            logger.warning("the file system of %s has no locks: %s", path, error)
        yield
    finally:
        os.close(folder)


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
        recipe: content of ``settings.toml``, see `liquid_nav.learning.settings`.

    Attributes:
        bundle: path of the best model bundle so far, a link; it exists once a round is kept.
        logs: folder of the logs, see `RoundLog`.

    Raises:
        ConfigError: when the folder holds a run with other settings, or one that cannot be
            continued.
        OSError: when the folder cannot be written to.

    """

    def __init__(self, path: Path, settings: Mapping[str, Any], recipe: str = "") -> None:
        self.path, self._recipe = path, recipe
        self.bundle = path / MODEL
        self.logs = path / "tensorboard"
        if (path / "checkpoint.pt").exists() or (
            self.bundle.exists() and not self.bundle.is_symlink()
        ):
            raise ConfigError(
                f"{path} holds a run of an older version of liquid_nav, which cannot be continued; "
                f"its bundle {self.bundle} can still be flown; choose another folder for a new run"
            )
        path.mkdir(parents=True, exist_ok=True)
        self._check_settings(settings)
        if recipe:
            write_whole(path / RECIPE, recipe)
        self._remove_leftovers()

    def episode(self, round_: int, seed: int) -> Path:
        """Return the path of the file of one flight."""
        return self.path / "data" / f"round{round_}" / f"{seed}.npz"

    def outcome(self, round_: int, kind: str, seed: int) -> Path:
        """Return the path of the outcome of a flight that judges the policy of a round."""
        return self.path / "validation" / f"{round_:03d}" / kind / f"{seed}.json"

    def model(self, round_: int) -> Path:
        """Return the path of the model bundle of a round, which is there while it is needed."""
        return self._place(round_) / MODEL

    def newest(self) -> KeptRound | None:
        """Read the newest round, or return None if there is none yet.

        Raises:
            BundleError: when the bundle of the round is damaged.
            ConfigError: when its state is damaged or belongs to another bundle.

        """
        kept = self._kept()
        if not kept:
            return None
        place = kept[-1]
        advice = f"delete {place} to train again on the flights in {self.path / 'data'}"
        try:
            network, _ = load_network(place / MODEL)
        except BundleError as error:
            raise BundleError(f"{error}; {advice}") from error
        path = place / STATE
        try:
            content = path.read_bytes()
            # A run that a GPU began may go on where there is none.
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            weights_sha256 = state.pop("weights_sha256", None)
        except Exception as error:  # whatever torch makes of a damaged file
            raise ConfigError(f"{path} is damaged; {advice}") from error
        if weights_sha256 != sha256(place / MODEL / WEIGHTS):
            raise ConfigError(f"{path} does not belong to the bundle next to it; {advice}")
        # Runs that an earlier version began have no such file.
        expected = place / STATE_SHA256
        if expected.exists() and expected.read_text(errors="replace").strip() != sha256(path):
            raise ConfigError(f"{path} is damaged: its SHA-256 is not the one kept; {advice}")
        return KeptRound(network, state)

    def keep(
        self, round_: int, network: PolicyNetwork, manifest: Manifest, state: Mapping[str, Any]
    ) -> None:
        """Keep the end of a round.

        Args:
            round_: number of the round.
            network: the network; its weights are kept in the bundle.
            manifest: manifest of the bundle.
            state: everything else that is needed to continue, as `torch.save` accepts it.

        Raises:
            BundleError: when the bundle cannot be written.
            OSError: when another file cannot be written; the rounds before are then still there.

        """
        place = self._place(round_)
        staging = staging_path(place)
        staging.mkdir(parents=True)
        try:
            save_bundle(staging / MODEL, network, manifest, self._recipe)
            weights_sha256 = sha256(staging / MODEL / WEIGHTS)
            # Through memory: where torch writes the file, a full disk is no OSError.
            content = io.BytesIO()
            torch.save({**state, "weights_sha256": weights_sha256}, content)
            write_whole(staging / STATE, content.getvalue())
            write_whole(staging / STATE_SHA256, sha256(staging / STATE) + "\n")
            replace_folder(staging, place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def publish(self, best: int, needed: Collection[int]) -> None:
        """Let the link ``model`` lead to the bundle of the best round.

        Args:
            best: number of that round.
            needed: numbers of further rounds that are needed; all others are deleted.

        """
        target = Path(ROUNDS) / self._place(best).name / MODEL
        if not self.bundle.is_symlink() or self.bundle.readlink() != target:
            link = staging_path(self.bundle)
            link.symlink_to(target)
            put_in_place(link, self.bundle)
        for other in self._kept():
            if int(other.name) not in {best, *needed}:
                # In one step: a round that is there is whole.
                leftover = other.rename(staging_path(other))
                shutil.rmtree(leftover)

    def _kept(self) -> list[Path]:
        """Folders of the kept rounds, oldest first."""
        return sorted(path for path in (self.path / ROUNDS).glob("*") if path.name.isdigit())

    def _place(self, round_: int) -> Path:
        return self.path / ROUNDS / f"{round_:03d}"

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of a new run, or compare them with those of the run on disk."""
        path = self.path / SETTINGS
        text = json.dumps(settings, indent=2) + "\n"
        if not path.exists():
            write_whole(path, text)
            return
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        others = _differences("", begun, json.loads(text))
        if others:
            raise ConfigError(
                f"{self.path} holds a run with other settings, see {path}: "
                f"{'; '.join(others[:5])}{f' and {len(others) - 5} more' if others[5:] else ''}. "
                "Give the same ones to continue it, or choose another folder"
            )

    def _remove_leftovers(self) -> None:
        """Delete unfinished files of a process that was killed."""
        for unfinished in self.path.rglob(".*.part"):
            logger.info("deleting %s, which an interrupted process left", unfinished)
            if unfinished.is_dir() and not unfinished.is_symlink():
                shutil.rmtree(unfinished)
            else:
                unfinished.unlink()


def _differences(name: str, begun: Any, asked: Any) -> list[str]:
    """Tell in words where two trees of settings differ, but for `FREE`."""
    if isinstance(begun, dict) and isinstance(asked, dict):
        return [
            words
            for key in dict.fromkeys((*begun, *asked))
            for words in _differences(
                f"{name}.{key}" if name else key, begun.get(key), asked.get(key)
            )
        ]
    same = begun == asked or name in FREE
    return [] if same else [f"{name} is {begun!r} there and {asked!r} here"]
