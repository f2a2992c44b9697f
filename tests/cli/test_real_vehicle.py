"""`liquid-nav mission` and `liquid-nav fly --vehicle mavlink:ADDRESS`."""

import functools
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_nav.cli.main import main
from liquid_nav.errors import ConfigError
from liquid_nav.events import Channel
from liquid_nav.mavlink.camera import OpenCvCamera
from liquid_nav.mission.plan import MissionConfig
from liquid_nav.onboard import Manifest, PolicyCamera
from liquid_nav.policy import save_bundle
from mavlink_support import ScriptedVehicle
from mission_support import SAFETY, Eye
from support import small_network


class FakeCamera(Eye):
    """Frames of noise in the place of a device."""

    covers = 1.0

    def __init__(self, source: str, target: PolicyCamera, fov: float | None) -> None:
        super().__init__()

    def close(self) -> None:
        pass


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An untrained policy of camera and IMU; the device that it looks through is not there."""
    from liquid_nav.mission.checks import SLOWEST

    monkeypatch.setattr("liquid_nav.mavlink.camera.OpenCvCamera", FakeCamera)
    # A busy machine must not trip a failsafe that a test is not about.
    monkeypatch.setattr("liquid_nav.mavlink.authority.LINK_TIMEOUT", 10.0)
    monkeypatch.setattr("liquid_nav.mission.mission.SLOW_START", 20.0)
    monkeypatch.setattr("liquid_nav.cli.real_vehicle.safety_of", lambda speed: SAFETY)
    quick = functools.partial(MissionConfig, settling=0.3)
    monkeypatch.setattr("liquid_nav.mission.plan.MissionConfig", quick)
    monkeypatch.setattr("liquid_nav.mission.mission.STREAMED_FIRST", 0.1)
    for channel in (Channel.IMU, Channel.CAMERA):
        monkeypatch.setitem(SLOWEST, channel, 0.1)
    config, network = small_network()
    save_bundle(tmp_path / "small", network, Manifest("test", config, {}, {}))
    return str(tmp_path / "small")


def test_a_mission_by_one_command(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedVehicle() as vehicle:
        vehicle.patience = 20.0
        code = main(
            [
                *("mission", f"mavlink:{vehicle.address}", "--model", model, "--camera", "0"),
                *("--height", "1", "--duration", "0.5", "--record", str(tmp_path / "flight")),
            ]
        )
        printed = capsys.readouterr()
        assert code == 0, printed
        assert not vehicle.armed
        assert vehicle.height == 0.0
    for words in ("checking: passed: camera image", "taking off: to 1 m", "disarmed"):
        assert words in printed.out
    assert (tmp_path / "flight" / "mission.mcap").stat().st_size > 1000


def test_a_mission_that_may_not_begin_says_why_and_fails(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedVehicle() as vehicle:
        vehicle.battery = 10
        code = main(["mission", f"mavlink:{vehicle.address}", "--model", model, "--camera", "0"])
        assert code == 1
        assert not vehicle.armed
    assert "FAILED: battery: 10%" in capsys.readouterr().out


def test_a_vehicle_in_the_air_is_flown_and_then_held(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedVehicle(flying=True) as vehicle:
        vehicle.patience = 20.0
        code = main(
            [
                *("fly", "--vehicle", f"mavlink:{vehicle.address}", "--model", model),
                *("--camera", "0", "--duration", "1"),
            ]
        )
        assert code == 0
        assert vehicle.setpoints
        assert vehicle.modes[-1] == "HOLD"
    printed = capsys.readouterr().out
    assert "the policy flies" in printed
    assert "HOLD: accepted" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly", "--vehicle", "mavlink:udp:14540", "--gui"], "--gui is for the simulator"),
        (["fly", "--vehicle", "mavlink:tcp:1"], "address must be udp:"),
        (["fly", "--vehicle", "mavlink:udp:0"], "the policy needs camera"),
        (["fly", "--vehicle", "mavlink:udp:0", "--duration", "0"], "--duration must be positive"),
        (["fly", "--camera", "0"], "--camera goes with --vehicle mavlink:ADDRESS"),
        (["mission", "udp:14540"], "must be mavlink:ADDRESS"),
        (["mission", "mavlink:udp:0", "--camera", "no_such_file"], "gives no frame"),
    ],
)  # fmt: skip
def test_what_cannot_be_flown_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_frames_are_brought_to_the_policys_camera(tmp_path: Path) -> None:
    # 90 degrees wide; the middle, which a camera of 53 degrees sees, is red.
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, 80:240] = (0, 0, 255)  # BGR, as OpenCV has it.
    assert cv2.imwrite(str(tmp_path / "frame.png"), image)
    target = PolicyCamera(64, 48, 2 * math.atan(0.5))
    camera = OpenCvCamera(str(tmp_path / "frame.png"), target, math.pi / 2)
    assert camera.covers == 1.0
    camera.close()
    frame = camera._adapter.adapt(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    assert frame.shape == (48, 64, 3)
    assert frame[24, 2:62].tolist() == [[255, 0, 0]] * 60


def test_a_camera_of_another_shape_needs_its_field_of_view(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "frame.png"), np.zeros((90, 160, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"aspect ratio.*--camera-fov"):
        OpenCvCamera(str(tmp_path / "frame.png"), PolicyCamera())
    OpenCvCamera(str(tmp_path / "frame.png"), PolicyCamera(), 1.2).close()
