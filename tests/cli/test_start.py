"""The `liquid-nav` command while it still imports."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_SLOW = """
import sys
import threading

print("importing", flush=True)
threading.Event().wait(60)
"""


@pytest.mark.parametrize(
    "start", ["-m liquid_nav.cli", "-c from+liquid_nav.cli.start+import+main;main()"]
)
def test_ctrl_c_while_it_imports_ends_it_without_a_traceback(tmp_path: Path, start: str) -> None:
    (tmp_path / "tyro.py").write_text(_SLOW)
    words = [word.replace("+", " ") for word in start.split()]
    with subprocess.Popen(
        [sys.executable, *words, "fly"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # The tests themselves may run in the background of a shell, which ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
