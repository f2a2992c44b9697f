"""The launch files: what can be checked of them anywhere, and with the real `ros2 launch` the rest.

`launch` is not on PyPI: the flights by `ros2 launch` run where it is importable and the package
installed in a sourced workspace, and are skipped elsewhere.
"""

import ast
import configparser
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from liquid_nav.ros.backends import backend_specs
from liquid_nav.ros.controller.parameters import SPECS
from ros.ros_support import Spinner

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))

with_launch = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None or shutil.which("ros2") is None,
    reason="launch_ros and ros2 launch are not installed: no launch file was started",
)


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def installed() -> set[str]:
    """Every file that `data_files` installs."""
    return set(" ".join(config()["options.data_files"].values()).split())


def arguments(file: Path) -> dict[str, tuple[ast.expr, str]]:
    """Default and description of each launch argument of a file."""
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "ARGUMENTS":
            assert isinstance(statement.value, ast.Tuple)
            rows = [row.elts for row in statement.value.elts if isinstance(row, ast.Tuple)]
            return {
                ast.literal_eval(name): (default, ast.literal_eval(text))
                for name, default, text in rows
            }
    raise AssertionError(f"{file} has no ARGUMENTS")


def test_there_is_one_to_simulate_one_to_fly_one_to_see_and_one_to_replay() -> None:
    assert [file.name for file in FILES] == [
        "drone.launch.py",
        "eyes.launch.py",
        "replay.launch.py",
        "sim.launch.py",
    ]


def test_every_launch_and_parameter_file_is_installed() -> None:
    files = [*FILES, *(ROOT / "config").iterdir()]
    assert {str(file.relative_to(ROOT)) for file in files} <= installed()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_argument_is_described_and_used(file: Path) -> None:
    source = file.read_text() + (ROOT / "liquid_nav/ros/launching.py").read_text()
    for name, (_, text) in arguments(file).items():
        assert text.endswith("."), name
        # Once in the table, and once where it is read.
        assert source.count(f'"{name}"') >= 2, f"{name} is not read"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_shared_file_that_is_named_is_there(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("share"):
            assert "/".join(map(ast.literal_eval, node.args)) in installed()


def test_every_executable_that_is_started_is_an_entry_point() -> None:
    scripts = config()["options.entry_points"]["console_scripts"]
    entries = {line.partition("=")[0].strip() for line in scripts.splitlines() if line}
    source = (ROOT / "liquid_nav/ros/launching.py").read_text()
    started = {
        node.args[1].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_node"
        if isinstance(node.args[1], ast.Constant)
    }
    assert started == {
        "liquid_nav_eyes_node",
        "liquid_nav_node",
        "liquid_nav_player",
        "liquid_nav_sim_node",
        "liquid_nav_supervisor",
    }
    assert started <= entries


def test_a_launch_file_can_be_read_without_the_packages_of_a_replay() -> None:
    source = (ROOT / "liquid_nav/ros/launching.py").read_text()
    ours = [
        node.module
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("liquid_nav")
    ]
    assert ours
    missing = "import sys; sys.modules.update(dict.fromkeys(['rosbags', 'mcap', 'zstandard']))"
    program = "; ".join([missing, *(f"import {module}" for module in ours)])
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_parameter_that_is_set_exists(file: Path) -> None:
    """Keys of the dicts in `setup` are parameters of the nodes."""
    pytest.importorskip("rclpy")
    from liquid_nav.ros import player
    from liquid_nav.ros.simulator import parameters as simulator_parameters
    from liquid_nav.ros.simulator.eyes import parameters as eyes_parameters

    simulated = (*simulator_parameters.SPECS, *eyes_parameters.SPECS)
    others = (*backend_specs(), *simulated, *player.SPECS)
    known = {spec.name for spec in (*SPECS, *others)} | {"use_sim_time"}
    (setup,) = [
        node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "setup"
    ]
    keys = {
        key.value
        for node in ast.walk(setup)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert keys <= known


class Launched:
    """`ros2 launch liquid_nav FILE ARGUMENTS`, ended by Ctrl-C or, at last, by force."""

    def __init__(self, log: Path, *arguments: str):
        self.log = log
        with log.open("wb") as sink:
            self.popen = subprocess.Popen(
                ["ros2", "launch", "liquid_nav", *arguments],
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A shell in the background may have had it ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    def __enter__(self) -> "Launched":
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")


@pytest.fixture
def ros() -> Iterator[Spinner]:
    with Spinner() as spinner:
        yield spinner


def diagnostics(ros: Spinner) -> dict[str, str]:
    """Newest words of every status, from now on."""
    from diagnostic_msgs.msg import DiagnosticArray

    words: dict[str, str] = {}

    def on_report(array: Any) -> None:
        words.update({status.name: status.message for status in array.status})

    ros.node("listener").create_subscription(DiagnosticArray, "/diagnostics", on_report, 50)
    return words


def ends_cleanly(ros: Spinner, launched: Launched) -> None:
    os.killpg(launched.popen.pid, signal.SIGINT)
    ros.until(lambda: launched.popen.poll() is not None, what="the end of the launch")
    text = launched.text()
    assert "process has died" not in text, text
    assert "Traceback" not in text, text


@with_launch
def test_the_drone_starts_is_guarded_and_stops_on_ctrl_c(ros: Spinner, tmp_path: Path) -> None:
    words = diagnostics(ros)
    with Launched(tmp_path / "log", "drone.launch.py", "namespace:=one") as launched:
        node = "/one/liquid_nav_node: controller"
        guard = "/one/liquid_nav_supervisor: controller"
        ros.until(lambda: words.get(node, "").startswith("hover: camera"), what="the controller")
        ros.until(lambda: words.get(guard) == "alive", what="the supervisor")
        ends_cleanly(ros, launched)


@with_launch
@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("drone", "model:=/nowhere/at/all"),
        ("drone", "backend:=nonsense"),
        ("drone", "use_sim_time:=perhaps"),
        ("drone", "params_file:=/nowhere/at/all.yaml"),
        ("drone", "log_level:=loud"),
        ("sim", "task:=nonsense"),
        ("eyes", "pose:=nonsense"),
        ("replay", "bag:=/nowhere/at/all"),
    ],
)
def test_a_wrong_argument_ends_the_launch_in_one_line_and_fails(
    ros: Spinner, tmp_path: Path, file: str, wrong: str
) -> None:
    with Launched(tmp_path / "log", f"{file}.launch.py", wrong) as launched:
        ros.until(lambda: launched.popen.poll() is not None, what="the end of the launch")
        text = launched.text()
        assert wrong.partition(":=")[2] in text
        assert "Traceback" not in text, text
        assert "exit code -2" not in text, text
        assert launched.popen.returncode == 1, text


@with_launch
def test_an_argument_that_is_nearly_one_is_pointed_out(ros: Spinner, tmp_path: Path) -> None:
    wrong = ("modle:=hover", "backend:=nonsense")
    with Launched(tmp_path / "log", "drone.launch.py", *wrong) as launched:
        ros.until(lambda: launched.popen.poll() is not None, what="the end of the launch")
        assert "there is no argument modle:=; did you mean model:=?" in launched.text()


@with_launch
def test_a_model_of_another_task_is_warned_of(ros: Spinner, tmp_path: Path) -> None:
    flight = ("sim.launch.py", "task:=forest", "model:=target")
    with Launched(tmp_path / "log", *flight) as launched:
        warning = "the model target was trained for the task target, and is to fly forest"
        ros.until(lambda: warning in launched.text(), what="the warning")
        ends_cleanly(ros, launched)


@with_launch
def test_a_launch_ends_and_fails_when_the_supervisor_is_killed(
    ros: Spinner, tmp_path: Path
) -> None:
    with Launched(tmp_path / "log", "drone.launch.py") as launched:
        ros.until(lambda: "supervised" in launched.text(), what="the supervisor")
        name = "lib/liquid_nav/liquid_nav_supervisor"
        found = ["pgrep", "--session", str(launched.popen.pid), "--full", name]
        os.kill(int(subprocess.check_output(found).split()[0]), signal.SIGKILL)
        ros.until(lambda: launched.popen.poll() is not None, what="the end of the launch")
        assert "the supervisor has died with status -9" in launched.text()
        assert launched.popen.returncode == 1


@with_launch
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.4])
def test_ctrl_c_while_everything_starts_prints_no_traceback(
    ros: Spinner, tmp_path: Path, delay: float
) -> None:
    with Launched(tmp_path / "log", "sim.launch.py") as launched:
        ros.until(lambda: "process started" in launched.text(), what="the first process")
        threading.Event().wait(delay)
        os.killpg(launched.popen.pid, signal.SIGINT)
        ros.until(lambda: launched.popen.poll() is not None, what="the end of the launch")
        # A process that was not even `env` yet may have died of it, silently.
        assert "Traceback" not in launched.text()


@with_launch
def test_two_simulations_in_one_domain_fly_by_their_own_clocks(
    ros: Spinner, tmp_path: Path
) -> None:
    logs = [tmp_path / name for name in ("one", "two")]
    flights = [
        Launched(log, "sim.launch.py", f"namespace:={log.name}", "seed:=99001") for log in logs
    ]
    with flights[0], flights[1]:
        for launched in flights:
            ros.until(lambda one=launched: one.popen.poll() is not None, 300, "the end of a flight")
            assert "success" in launched.text()
            assert "went back" not in launched.text()
            assert launched.popen.returncode == 0


@with_launch
def test_a_word_for_a_number_is_named(ros: Spinner, tmp_path: Path) -> None:
    with Launched(tmp_path / "log", "sim.launch.py", "seed:=first") as launched:
        ros.until(lambda: launched.popen.poll() is not None, what="the end of the launch")
        assert "seed must be a whole number, got 'first'" in launched.text()


@with_launch
def test_the_simulator_is_flown_to_the_target_and_recorded(ros: Spinner, tmp_path: Path) -> None:
    flight = ("sim.launch.py", "seed:=100000", "episodes:=1", "pace:=lock_step")
    record = ("record:=true", f"record_to:={tmp_path / 'flights'}")
    with Launched(tmp_path / "log", *flight, *record) as launched:
        ros.until(lambda: launched.popen.poll() is not None, 300, "the end of the flight")
        assert "success" in launched.text()
        assert "Traceback" not in launched.text()
    # The process that makes the file may outlive the node.
    ros.until(lambda: list((tmp_path / "flights").glob("*.mcap")), what="the recording")
    (path,) = (tmp_path / "flights").iterdir()
    # By what is installed, as the node: a checkout may be without the native kernel.
    command = ("ros2", "run", "liquid_nav", "liquid-nav", "replay", path, "--compare")
    subprocess.run([*command, "--no-report", "--out", tmp_path / "out"], check=True)
    figures = json.loads((tmp_path / "out" / "replay.json").read_text())["replay"]
    assert figures["lost"] == 0
    # All but the last, with which the node leaves.
    assert figures["comparison"]["same"] == figures["comparison"]["commands"] - 1


@with_launch
def test_the_simulator_stops_on_ctrl_c(ros: Spinner, tmp_path: Path) -> None:
    words = diagnostics(ros)
    with Launched(tmp_path / "log", "sim.launch.py", "seed:=100001", "episodes:=0") as launched:
        node = "/liquid_nav_node: controller"
        ros.until(lambda: "nominal" in words.get(node, ""), what="a controller that flies")
        ends_cleanly(ros, launched)


@with_launch
def test_a_bag_is_played_into_the_controller_to_its_end(ros: Spinner, tmp_path: Path) -> None:
    from liquid_nav.controller import Controller
    from liquid_nav.evaluation.flight import fly
    from liquid_nav.onboard import load_policy
    from liquid_nav.recording.recorder import FlightRecorder
    from liquid_nav_sim.world import World

    policy, _ = load_policy(ROOT / "models" / "target")
    with FlightRecorder(tmp_path / "flight.mcap", policy.config.camera) as recorder:

        def watch(event: Any, command: Any) -> None:
            recorder.event(event)
            recorder.command(command)

        fly(World(), Controller(policy), 100_000, watch)
    bag = f"bag:={tmp_path / 'flight.mcap'}"
    words: list[str] = []

    def on_report(array: Any) -> None:
        words.extend(s.message for s in array.status if s.name == "/liquid_nav_node: controller")

    from diagnostic_msgs.msg import DiagnosticArray

    ros.node("listener").create_subscription(DiagnosticArray, "/diagnostics", on_report, 50)
    with Launched(tmp_path / "log", "replay.launch.py", bag, "rate:=2.0") as launched:
        ros.until(lambda: launched.popen.poll() is not None, 120, "the end of the bag")
        assert "end of the bag" in launched.text()
        assert any(word.startswith("nominal") for word in words)
        assert "Traceback" not in launched.text()
