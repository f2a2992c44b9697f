"""``liquid-nav eval``: pilots under the conditions of suites, in tables and files."""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from liquid_nav.cli.choices import one_of, suite_names, task_names
from liquid_nav.cli.cluster import OPTION, fleet_at
from liquid_nav.cli.shipped import shipped_model
from liquid_nav.errors import ConfigError
from liquid_nav.files import check_destinations, made_directories
from liquid_nav.learning.quiet_import import import_pybullet

PilotName = Literal["policy", "expert", "classical"]


@dataclass(frozen=True)
class Eval:
    """Compare a policy with other pilots, in the same scenes, under the conditions of suites.

    Example: liquid-nav eval models/target --suite nominal wind --episodes 50
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Directory of the model bundle, or the name of a task: then the model shipped for it flies."""
    suite: Annotated[
        tuple[str, ...], one_of(suite_names, default=lambda: "nominal", several=True)
    ] = ("nominal",)
    """The suites to fly."""
    pilots: tuple[PilotName, ...] = ("policy", "expert", "classical")
    """Who flies: the policy; the expert, who knows the scene; a pilot by rules, without learning.
    Each is compared with the first one."""
    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    """Number of flights of each pilot in each cell of a suite."""
    seed: Annotated[int, tyro.conf.arg(metavar="S")] = 100_000
    """Seed of the first flight; the next ones follow. Training uses the seeds below 100000."""
    probes: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: a tenth of the episodes)"),
    ] = None
    """Number of seeds with which each pilot is probed in each cell: how steady its commands are
    while nothing changes, and how long a step of the wind disturbs it."""
    difficulty: Annotated[float, tyro.conf.arg(metavar="D")] = 0.5
    """How hard the task is, from 0 to 1, where a suite does not say."""
    speed: Annotated[
        float | None,
        tyro.conf.arg(metavar="X", help_behavior_hint="(default: that of the model, or 1)"),
    ] = None
    """How fast to fly, as a multiple of the usual speeds. Tasks and command limits scale."""
    sensors: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="KIND...", help_behavior_hint="(default: what the policy needs)"),
    ] = ()
    """Further sensors, such as range_finder and odometry, for what the policy can do without."""
    renderer: Literal["bullet", "raycast"] = "bullet"
    """What draws for the cameras: PyBullet's renderer, or a faster ray caster."""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/TASK-eval)")
    ] = None
    """Directory of the study. One that was interrupted there is continued."""
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: one for each CPU)")
    ] = None
    """Number of processes that fly."""
    cluster: Annotated[str | None, OPTION] = None
    """Ray cluster that flies: its address; auto for the one that this machine is part of, or else a
    new one on this machine; local for a new one in any case."""

    def run(self) -> int:
        """Fly, print the tables, write the files, and give the exit code.

        Raises:
            ConfigError: on an option out of its range, or a study with other settings in `out`.
            BundleError: when there is no policy to fly, or its bundle is damaged.
            OSError: when a file cannot be written.

        """
        self._check()
        from liquid_nav.onboard import read_manifest
        from liquid_nav.onboard.bundle import MANIFEST

        bundle, manifest, task, speed = self._bundle(), None, self.model, self.speed or 1.0
        if bundle is not None:
            manifest = read_manifest(bundle)
            # A run that trains on meanwhile replaces its link to the newest model.
            bundle = bundle.resolve()
            task, speed = manifest.task, self.speed or manifest.speed
        out = self.out or Path("runs") / f"{task}-eval"
        check_destinations(out, None)

        import_pybullet()
        from liquid_nav.evaluation.study.conditions import nominal_conditions
        from liquid_nav.evaluation.study.pilots import has_pilot
        from liquid_nav.evaluation.study.run import run
        from liquid_nav.evaluation.study.study import Study, StudySettings, cells_of

        base = nominal_conditions(
            task, self.difficulty, speed, self.renderer, manifest, self.sensors
        )
        flying = [pilot for pilot in self.pilots if has_pilot(pilot, task, bundle)]
        if not flying:
            raise ConfigError(f"task {task!r} has no pilot {' or '.join(self.pilots)}")
        seeds = range(self.seed, self.seed + self.episodes)
        probes = math.ceil(self.episodes / 10) if self.probes is None else self.probes
        study = Study(out, bundle, cells_of(self.suite, base), flying, seeds, probes)
        model = None if bundle is None else _sha256(bundle / MANIFEST)
        settings = StudySettings(
            task, model, self.difficulty, speed, self.renderer, sorted(self.sensors)
        )
        workers = self.workers or os.cpu_count() or 1
        with fleet_at(self.cluster, workers) as fleet, made_directories(out):
            finished = run(study, settings, workers, self.pilots, fleet)
        return 0 if finished else 130

    def _bundle(self) -> Path | None:
        """Directory of the policy's bundle; None if no policy flies."""
        path = Path(self.model)
        if path.is_dir() or self.model not in task_names():
            return path
        return shipped_model(self.model) if "policy" in self.pilots else None

    def _check(self) -> None:
        """Refuse options that make no sense, before anything heavy is imported."""
        if not 0 <= self.difficulty <= 1:
            raise ConfigError(f"--difficulty must be in [0, 1], got {self.difficulty}")
        if self.speed is not None and not 0 < self.speed < math.inf:
            raise ConfigError(f"--speed must be positive and finite, got {self.speed}")
        if self.episodes < 1:
            raise ConfigError(f"--episodes must be at least 1, got {self.episodes}")
        if self.probes is not None and not 0 <= self.probes <= self.episodes:
            raise ConfigError(f"--probes must be from 0 to --episodes, got {self.probes}")
        if self.seed < 0:
            raise ConfigError(f"--seed must not be negative, got {self.seed}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers must be at least 1, got {self.workers}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
