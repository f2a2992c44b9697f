"""The report of a replay as a JSON file: all its figures, no series."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from liquid_nav.files import write_whole
from liquid_nav.replay.compare import AXES, Comparison
from liquid_nav.replay.report.model import ReplayReport, RunReport


def write_json(path: Path, report: ReplayReport) -> None:
    """Write the report, whole or not at all; a number that is not finite becomes null.

    Raises:
        OSError: when the file cannot be written.

    """
    content = {"flight": report.flight, "model": report.model, "replay": _run(report.run)}
    if report.changed is not None:
        content["changed"] = _run(report.changed)
    write_whole(path, json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")


def _run(run: RunReport) -> dict[str, Any]:
    return {
        "topics": run.topics,
        "start_ns": run.start,
        "duration_s": run.duration,
        "events": run.events,
        "commands_sha256": run.commands_sha256,
        "modes_s": {mode.value: seconds for mode, seconds in run.modes.items()},
        "channels": {channel.value: asdict(c) for channel, c in run.channels.items()},
        "failsafes": [
            {
                "start_s": failsafe.start,
                "end_s": failsafe.end,
                "mode": failsafe.mode.value,
                "reason": failsafe.reason,
                "open": failsafe.open,
            }
            for failsafe in run.failsafes
        ],
        "warnings": [
            {
                "channel": warning.channel.value,
                "start_s": warning.start,
                "end_s": warning.end,
                "text": warning.text,
                "open": warning.open,
            }
            for warning in run.warnings
        ],
        "comparison": None if run.comparison is None else _comparison(run.comparison),
        "policy_faults": run.policy_faults,
        "slew_limited": run.slew_limited,
        "lost": run.losses.total,
        "undecodable": run.losses.undecodable,
        "damage": run.losses.notes,
        "notes": run.notes,
        "wall_s": run.wall,
        "decode_s": run.decoding,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "commands": len(comparison.times),
        "rms": dict(zip(AXES, comparison.rms.tolist(), strict=True)),
        "largest": dict(zip(AXES, comparison.largest.tolist(), strict=True)),
        "identical": comparison.identical,
        "same": comparison.same,
        "lag_s": comparison.lag,
        "correlation": comparison.correlation,
        "left_out": comparison.left_out,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
