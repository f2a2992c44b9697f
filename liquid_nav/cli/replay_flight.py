"""The work of ``liquid-nav replay``: from options and a recording to a summary and files."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from liquid_nav.bags.bag import Recording
from liquid_nav.bags.records import LEAP
from liquid_nav.cli.replay_file import ReplayFile, read_replay_file
from liquid_nav.cli.replay_options import ReplayOptions
from liquid_nav.command import Command
from liquid_nav.controller import Controller
from liquid_nav.errors import ConfigError
from liquid_nav.events import SECOND, TAKEN_IN, Channel, Event
from liquid_nav.files import check_folder, made_directories, whole_files
from liquid_nav.messages.camera import ImageOptions
from liquid_nav.messages.transforms import ImuMounting, rotation_of
from liquid_nav.onboard import Policy, load_policy
from liquid_nav.recording.settings import limited
from liquid_nav.replay.calibration import find_camera_info, find_imu_rotation
from liquid_nav.replay.commands import check_commands
from liquid_nav.replay.nothing import check_replayed
from liquid_nav.replay.report.console import print_changed, print_run
from liquid_nav.replay.report.json import write_json
from liquid_nav.replay.report.mcap import ReplayOutput
from liquid_nav.replay.report.model import ReplayReport, run_report
from liquid_nav.replay.run import Replay, Watch, compare_replays, replay
from liquid_nav.replay.timeline import LONGEST, Cut
from liquid_nav.replay.topics import NONE, Topics, find
from liquid_nav.safety.layer import SafetyConfig

if TYPE_CHECKING:
    from liquid_nav.replay.report.film import ReplayFilm
    from liquid_nav.replay.report.rerun import ReplayView

MCAP, RESULT, REPORT = "replay.mcap", "replay.json", "report.html"
"""Files in the output directory."""

VIEW = "--view-file"
"""Stands for the file for Rerun, which may be anywhere."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that a replay needs, worked out from the options and the recording.

    Attributes:
        topics: which topic has which role.
        policy: the policy that is replayed.
        limits: limits that replace the recorded ones, or the defaults.
        cut: which part of the recording is replayed.
        camera_info: calibration of the camera, or None.
        imu_rotation: rotation from the IMU's frame to body FLU, or None.
        images: what the user says of the images.
        rate: Hz at which commands are asked for while no message arrives.
        notes: what was found out, for the summary.

    Raises:
        ConfigError: on a limit that is unknown or out of range.

    """

    topics: Topics
    policy: Policy
    limits: Mapping[str, float]
    cut: Cut
    camera_info: Any
    imu_rotation: Any
    images: ImageOptions
    rate: float
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        # A wrong limit is refused here, before the flight is replayed.
        limited(SafetyConfig(), self.limits)

    def replay(
        self,
        recording: Recording,
        watch: Watch | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Replay:
        """Replay the recording, see `liquid_nav.replay.run.replay`."""
        result = replay(
            recording,
            self.topics,
            self.policy,
            limits=self.limits,
            cut=self.cut,
            camera_info=self.camera_info,
            imu_rotation=self.imu_rotation,
            images=self.images,
            rate=self.rate,
            watch=watch,
            progress=progress,
        )
        result.notes[:0] = self.notes
        return result


def run(options: ReplayOptions, model: Path) -> int:
    """Replay the flight, print a summary, write files, and give the exit code.

    Args:
        options: of the command line.
        model: directory of the model bundle.

    Raises:
        LiquidNavError: on options that make no sense, or do not fit the recording or the model.
        OSError: when a file cannot be read or written.

    """
    console = Console(highlight=False)
    with Recording(options.flight) as recording, ExitStack() as stack:
        prepared = _prepare(options, model, recording)
        changed = _change(options, prepared) if options.changed else None
        staged = _destinations(options, stack)
        watches: list[Watch] = []
        film, no_film = None, ""
        if MCAP in staged:
            output = ReplayOutput(staged[MCAP], prepared.policy)
            watches.append(stack.enter_context(output).watch)
        if REPORT in staged:
            film, no_film = _film(prepared.topics)
        if film is not None:
            watches.append(stack.enter_context(film).watch)
        targets: list[Path | None] = [None] if options.view else []
        if VIEW in staged:
            targets.append(staged[VIEW])
        views = [stack.enter_context(view) for view in _views(targets, prepared.policy)]
        watches += [view.watch for view in views]
        with _bar(recording, prepared.cut) as progress:
            result = prepared.replay(recording, _together(watches), progress)
        check_replayed(result, prepared.policy.needed, prepared.cut, recording.span)
        for view in views:
            view.finish(result)
        report = ReplayReport(str(options.flight), str(model), run_report(result))
        print_run(console, report.run)
        if changed is not None:
            with _bar(recording, changed.cut) as progress:
                other = changed.replay(recording, None, progress)
            second = run_report(other, compare_replays(result, other))
            report = replace(report, changed=second)
            print_changed(console, second)
        if RESULT in staged:
            write_json(staged[RESULT], report)
        if REPORT in staged:
            # The page needs jinja2 and memory that the rest does without.
            from liquid_nav.replay.report.html import write_page

            write_page(staged[REPORT], report, film, no_film)
    return 0


def _destinations(options: ReplayOptions, stack: ExitStack) -> dict[str, Path]:
    """Make what holds the files of the replay: temporary ones, that appear together at the end.

    Returns:
        The temporary file of each of `MCAP`, `RESULT`, `REPORT` and `VIEW` that is asked for.

    """
    out, view, files = options.out, options.view_file, dict[str, Path]()
    if out is not None:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out {out} exists and is not a directory")
        files = {name: out / name for name in (MCAP, RESULT, *((REPORT,) * options.report))}
    if view is not None:
        check_folder("--view-file", view, out)
        files[VIEW] = view
    for path in files.values():
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} exists and is not a regular file")
    stack.enter_context(made_directories(*(path.parent for path in files.values())))
    return dict(zip(files, stack.enter_context(whole_files(*files.values())), strict=True))


def _prepare(options: ReplayOptions, model: Path, recording: Recording) -> Prepared:
    """Work out what the options leave open."""
    file = read_replay_file(options.config)
    if options.rate == 0:
        raise ConfigError("--rate must be above 0 Hz: silences are replayed at this rate")
    cut = Cut(
        options.start,
        options.duration,
        clock=options.clock,
        window=_nanoseconds("--reorder", options.reorder, LEAP / SECOND),
    )
    policy, _ = load_policy(model)
    chosen = _chosen_topics(options, file)
    comparing = options.compare or chosen.command not in (None, NONE)
    topics = find(recording.topics, chosen, comparing, policy.channels)
    if comparing and topics.command is None:
        raise ConfigError(
            "--compare needs recorded commands, but no topic in the recording holds any"
        )
    check_commands(recording, topics.command, topics.channels[Channel.ODOMETRY])
    info, rotation, notes = _calibration(options, file, recording, topics)
    if file.camera_model is not None:
        # What the recording says of the camera does not hold then.
        topics = replace(topics, camera_info=None)
    images = ImageOptions(options.image_geometry, options.image_bits)
    return Prepared(topics, policy, file.limits, cut, info, rotation, images, options.rate, notes)


def _change(options: ReplayOptions, prepared: Prepared) -> Prepared:
    """Apply the "what if" options, for the second replay."""
    policy = prepared.policy if options.other is None else load_policy(options.other)[0]
    delayed = _numbers("--delay", options.delay)
    for name in (*options.drop, *delayed):
        if prepared.topics.channels.get(_channel(name)) is None:
            raise ConfigError(f"there is no topic of the {name}, which --drop or --delay changes")
    delays = {
        _channel(name): _nanoseconds(f"--delay {name}", seconds)
        for name, seconds in delayed.items()
    }
    return replace(
        prepared,
        policy=policy,
        limits={**prepared.limits, **_numbers("--limits", options.limits)},
        cut=replace(
            prepared.cut,
            drop=frozenset(map(_channel, options.drop)),
            delay=delays,
        ),
    )


def _chosen_topics(options: ReplayOptions, file: ReplayFile) -> Topics:
    """Topics that the user chose; the command line wins over the file."""
    given = {
        "camera": options.camera,
        "camera_info": options.camera_info,
        "imu": options.imu,
        "odometry": options.odom,
        "goal": options.goal,
        "range": options.range,
        "command": options.cmd,
    }
    return Topics.of(file.topics.roles | {k: v for k, v in given.items() if v is not None})


def _channel(name: str) -> Channel:
    """Give the channel of a name, or raise a `ConfigError` that lists the names."""
    names = [channel.value for channel in TAKEN_IN]
    if name not in names:
        raise ConfigError(f"there is no channel {name!r}; choose one of {', '.join(names)}")
    return Channel(name)


def _numbers(flag: str, texts: tuple[str, ...]) -> dict[str, float]:
    """Parse texts like ``name=number``; raise a `ConfigError` on anything else."""
    numbers = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            numbers[name] = math.nan
        if not math.isfinite(numbers[name]):
            raise ConfigError(f"{flag} takes NAME=NUMBER, got {text!r}")
    return numbers


def _nanoseconds(option: str, seconds: float, longest: float = LONGEST) -> int:
    """Convert the value of an option, or raise a `ConfigError` when it is out of its range."""
    if not 0 <= seconds <= longest:
        raise ConfigError(f"{option} must be from 0 to {longest:g} s, got {seconds:g}")
    return round(seconds * SECOND)


def _together(watches: list[Watch]) -> Watch | None:
    """Make one watch of several; None when there are none."""

    def watch(event: Event, command: Command, controller: Controller) -> None:
        for each in watches:
            each(event, command, controller)

    return watch if watches else None


def _film(topics: Topics) -> "tuple[ReplayFilm | None, str]":
    """Give a film of what the model sees, or None and the reason why there is none."""
    if topics.channels[Channel.CAMERA] is None:
        return None, "the recording has no camera, or it was left out"
    try:
        from liquid_nav.replay.report.film import ReplayFilm
    except ModuleNotFoundError as error:
        # The rest of the report needs no encoder.
        if error.name != "av":
            raise
        return None, "it needs the module av, which comes with liquid_nav[viz]"
    return ReplayFilm(), ""


def _views(targets: list[Path | None], policy: Policy) -> "Iterator[ReplayView]":
    """Give what shows the replay in Rerun: for each file a writer, for None a window."""
    for file in targets:
        try:
            from liquid_nav.replay.report.rerun import ReplayView
        except ModuleNotFoundError as error:
            if error.name != "rerun":
                raise
            raise ConfigError(
                "--view needs the module rerun, which comes with liquid_nav[view]"
            ) from error
        yield ReplayView(policy, file)


def _calibration(
    options: ReplayOptions, file: ReplayFile, recording: Recording, topics: Topics
) -> tuple[Any, Any, tuple[str, ...]]:
    """Find the camera's calibration, the IMU's rotation, and notes on where they come from."""
    info = file.camera_model
    if info is None and topics.channels[Channel.CAMERA] is not None:
        info = find_camera_info(recording, topics)
    given = options.imu_rotation or file.imu_rotation
    if given is not None:
        return info, rotation_of(given), ("the IMU is turned as was given",)
    if topics.channels[Channel.IMU] is None:
        return info, None, ()
    if not options.imu_from_tf:
        return info, None, (ImuMounting(from_transforms=False).words,)
    rotation, why = find_imu_rotation(recording, topics, options.body_frame)
    return info, rotation, (why,)


@contextmanager
def _bar(recording: Recording, cut: Cut) -> Iterator[Callable[[int], None]]:
    """Show a progress bar when standard error is a terminal; give what advances it."""
    first, last = recording.span
    begin = first + round(cut.start * SECOND)
    seconds = max((last - begin) / SECOND, 0.0)
    if cut.duration is not None:
        seconds = min(seconds, cut.duration)
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total:.1f} s"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=seconds)
        yield lambda now: progress.update(task, completed=(now - begin) / SECOND)
