"""The executables as a shell starts them: what keeps one from starting is said in one line."""

import configparser
import contextlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ros.node_support import Process, save_small_bundle
from ros.ros_support import Spinner, private_domain

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter

from liquid_nav.ros.heartbeat import HeartbeatReader
from liquid_nav.ros.process import set_priority
from liquid_nav.ros.supervisor import SupervisorNode

ROOT = Path(__file__).parents[2]
PREFIX = ("env", "--block-signal=INT", "--block-signal=TERM")
NODES = ("controller", "supervisor", "simulator", "eyes", "player")


def start(node: str, *arguments: str, before: str = "") -> tuple[int, str, str]:
    """Run an executable to its end; return status, stdout and stderr."""
    private_domain()
    program = f"{before}\nfrom liquid_nav.ros.executables import {node}; {node}()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout, done.stderr


def one_error(status: int, errors: str) -> str:
    """The error that the process ended with."""
    assert status == 2
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_without_rclpy_an_executable_says_what_it_needs(
    node: str, arguments: tuple[str, ...]
) -> None:
    status, _, errors = start(node, *arguments, before="import sys; sys.modules['rclpy'] = None")
    assert one_error(status, errors) == errors.strip()
    assert "needs ROS 2, but rclpy cannot be imported" in errors


@pytest.mark.parametrize("node", NODES)
def test_a_parameter_file_that_is_not_there_is_named(node: str, tmp_path: Path) -> None:
    file = tmp_path / "missing.yaml"
    status, _, errors = start(node, "--ros-args", "--params-file", str(file))
    assert one_error(status, errors) == errors.strip()
    assert f"there is no parameter file {file}" in errors


def test_help_shows_the_usage() -> None:
    status, output, errors = start("controller", "--help")
    assert (status, errors) == (0, "")
    assert output.startswith("usage: liquid_nav_node [--ros-args")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-p", "backend:=px4"), "takes no argument '-p' before --ros-args"),
        (("--ros-args", "--bogus"), "unknown arguments of ROS: ['--bogus']"),
        (("--ros-args", "-r", "__ns:=/9x"), "Couldn't parse remap rule: '-r __ns:=/9x'"),
        (("--ros-args", "-p", "executor:=3"), "executor"),
        (("--ros-args", "-p", "autostart:=true", "-p", "twist.topic:='cmd vel'"), "twist.topic"),
    ],
)
def test_wrong_arguments_end_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    status, _, errors = start("controller", *arguments)
    assert words in one_error(status, errors)


def test_a_parameter_file_that_is_no_yaml_ends_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text("]:[")
    status, _, errors = start("supervisor", "--ros-args", "--params-file", str(file))
    assert str(file) in one_error(status, errors)


@pytest.mark.parametrize(
    ("node", "name", "topic"),
    [
        ("supervisor", "twist.topic", "'cmd vel'"),
        ("supervisor", "heartbeat", "'node//heartbeat'"),
        ("player", "commands", "'2nd'"),
        ("simulator", "sensors", "['imu', 'front camera']"),
    ],
)
def test_every_node_names_the_parameter_of_a_bad_topic(node: str, name: str, topic: str) -> None:
    status, _, errors = start(node, "--ros-args", "-p", f"{name}:={topic}")
    assert name in one_error(status, errors)
    assert "must be a valid name in ROS 2" in errors


def test_one_topic_in_two_roles_is_refused_by_every_node() -> None:
    status, _, errors = start(
        "supervisor", "--ros-args", "-p", "twist.topic:=liquid_nav_node/heartbeat"
    )
    assert "twist.topic and heartbeat are the same topic" in one_error(status, errors)
    status, _, errors = start(
        "simulator", "--ros-args", "-p", "sensors:=['cmd_vel']", "-p", "cmd_vel.model:=imu"
    )
    assert "sensor cmd_vel and the commands are the same topic" in one_error(status, errors)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_python_has_started_ends_an_executable_without_a_word(
    node: str, number: signal.Signals
) -> None:
    """As the launch files start it: signals are blocked until the process can handle them."""
    program = f"from liquid_nav.ros.executables import {node}; {node}()"
    with subprocess.Popen(
        [*PREFIX, sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Blocked here already, so that no moment is too early.
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [number]),
    ) as process:
        process.send_signal(number)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 0


UNIT = "/var/lib/liquid_nav"


def unit() -> configparser.RawConfigParser:
    """The unit of systemd in the documentation."""
    text = (ROOT / "docs" / "ros.md").read_text()
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text.partition("```ini\n")[2].partition("```")[0])
    return parser


def service(**environment: str) -> dict[str, str]:
    """Environment that systemd gives a service without User=, and what the tests need."""
    private_domain()
    kept = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")
    given = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    given |= {"LANG": "C.UTF-8", "INVOCATION_ID": "0" * 32, "SYSTEMD_EXEC_PID": "1"}
    return given | {name: os.environ[name] for name in kept} | environment


def run_until_active(ros: Spinner, bundle: Path, environment: dict[str, str], number: int) -> str:
    """Start the controller with nothing but this environment, and end it; return its stderr."""
    program = "from liquid_nav.ros.executables import controller; controller()"
    words = ("--ros-args", "-p", "autostart:=true", "-p", f"model:={bundle}")
    heartbeats = HeartbeatReader(ros.node("listener"), "liquid_nav_node/heartbeat")
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], env=environment, stderr=subprocess.PIPE
    ) as process:
        ros.until(lambda: heartbeats.alive() or process.poll() is not None, what="a heartbeat")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors
    return errors.decode()


def test_the_documented_service_starts_in_the_environment_of_its_unit(tmp_path: Path) -> None:
    section = unit()["Service"]
    # StateDirectory makes the folder.
    assert f"/var/lib/{section['StateDirectory']}" == UNIT
    name, _, value = section["Environment"].partition("=")
    environment = service(**{name: value.replace(UNIT, str(tmp_path / "state"))})
    (tmp_path / "state").mkdir()
    with Spinner() as ros:
        number = signal.Signals[section["KillSignal"]]
        bundle = save_small_bundle(tmp_path)
        errors = run_until_active(ros, bundle, environment, number)
    assert "HOME" not in errors
    assert list((tmp_path / "state" / ".ros" / "log").iterdir())


def test_the_documented_service_names_what_there_is() -> None:
    words = shlex.split(unit()["Service"]["ExecStart"])
    assert words[:2] == ["/bin/bash", "-c"]
    *_, launch = words[2].partition("exec ros2 launch liquid_nav ")
    file, *arguments = launch.split()
    assert (ROOT / "launch" / file).is_file()
    names = [argument.partition(":=")[0] for argument in arguments]
    assert all(f'"{name}"' in (ROOT / "launch" / file).read_text() for name in names)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "HOME is not set, using "),
        ({"HOME": "/proc"}, "the log of ROS cannot be written to /proc/.ros/log, using "),
        ({"HOME": "/", "ROS_LOG_DIR": "/dev/null"}, "cannot be written to /dev/null, using "),
        ({"HOME": "/", "ROS_HOME": "/proc/1"}, "cannot be written to /proc/1/log, using "),
    ],
)
def test_a_service_without_a_home_says_what_it_takes_and_starts(
    tmp_path: Path, environment: dict[str, str], line: str
) -> None:
    with Spinner() as ros:
        bundle = save_small_bundle(tmp_path)
        errors = run_until_active(ros, bundle, service(**environment), signal.SIGTERM)
    assert [text for text in errors.splitlines() if line in text]


@pytest.mark.parametrize(("task", "warned"), [("forest", True), ("test", False), ("", False)])
def test_a_model_of_another_task_is_warned_of(tmp_path: Path, task: str, warned: bool) -> None:
    bundle = save_small_bundle(tmp_path)
    log = tmp_path / "log"
    words = ("-p", f"model:={bundle}", "-p", f"task:='{task}'", "-p", "autostart:=true")
    with (
        Spinner() as ros,
        log.open("w") as sink,
        Process("controller", *words, stderr=sink) as controller,
    ):
        ros.until(lambda: "active: commands go to" in log.read_text(), what="the controller")
        assert controller.end(ros, signal.SIGTERM) == 0
    assert ("was trained for the task test, and is to fly forest" in log.read_text()) == warned


def test_a_supervisor_refuses_changes_that_would_have_no_effect() -> None:
    with Spinner() as ros:
        node = ros.add(SupervisorNode(context=ros.context))
        for name, value in (("timeout", 0.2), ("twist.topic", "other"), ("use_sim_time", True)):
            (result,) = node.set_parameters([Parameter(name, value=value)])
            assert not result.successful
            assert result.reason == f"{name} is read only when the node starts"


def test_the_priority_of_a_process_is_that_of_all_its_threads() -> None:
    private_domain()
    with Spinner() as ros, Process("supervisor", "-p", "priority:=3") as process:
        threads = Path(f"/proc/{process.popen.pid}/task")

        def nice_values() -> set[int]:
            found = set()
            for thread in threads.iterdir():
                with contextlib.suppress(ProcessLookupError):  # It has just ended.
                    found.add(os.getpriority(os.PRIO_PROCESS, int(thread.name)))
            return found

        ros.until(lambda: nice_values() == {3}, what="the nice value of all threads")


def test_a_priority_that_the_system_refuses_is_said_and_the_node_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    said: list[str] = []
    set_priority(-10, said.append)
    assert said == [
        "priority -10 is not set: Operation not permitted; it needs CAP_SYS_NICE, or LimitNICE"
    ]
