"""Settings as TOML: they travel with the policy, and train the same one again."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from liquid_nav.cli.main import main
from liquid_nav.errors import BundleError, ConfigError
from liquid_nav.learning.config import TrainingConfig
from liquid_nav.learning.settings import RunSettings, read_settings
from liquid_nav.onboard import Manifest, read_manifest
from liquid_nav.policy import load_network, save_bundle
from support import small_network

FEW = ["--demonstrations", "1", "--rounds", "0", "--last-steps", "2", "--validation", "0"]
SMALL = ["--lanes", "1", "--length", "64", "--units", "6", "--workers", "0"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    training = TrainingConfig(seed=5, learning_rate=1e-05, auxiliary=0, workers=7, device="cpu")
    written = RunSettings(
        task='a "task"',
        difficulty=0.25,
        speed=2.0,
        channels=("camera", "imu"),
        cell="ltc",
        units=7,
        optional=("imu",),
        cell_options={"wiring": {"kind": "ncp", "sizes": [3, 4]}, "tau_min": 0.05, "unset": None},
        start=Path("models/target"),
        photographs=Path("pictures"),
        training=training,
    )
    path = tmp_path / "settings.toml"
    path.write_text(written.to_toml())
    read = read_settings(path)
    again = RunSettings(**read)
    assert again.to_toml() == written.to_toml()
    assert read["cell_options"] == {
        "wiring": {"kind": "ncp", "sizes": [3, 4]},
        "tau_min": 0.05,
    }
    assert (again.task, again.start, again.recorded) == (written.task, written.start, None)
    assert again.photographs == written.photographs
    # What belongs to the machine stays there.
    expected = asdict(training) | {"workers": TrainingConfig.workers, "device": "auto"}
    assert asdict(again.training) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task = ", "not TOML"),
        ('aim = "x"', "there is no setting 'aim', only task, difficulty, speed, channels"),
        ("task = 5", "task must be the name of a task, got 5"),
        ("units = true", "units must be a whole number, got True"),
        ("units = 1.5", "units must be a whole number, got 1.5"),
        ('difficulty = "hard"', "difficulty must be a number"),
        ('speed = "fast"', "speed must be a number"),
        ('channels = "imu"', "channels must be a list of names"),
        ("channels = [1]", "channels must be names of encoders"),
        ("cell_options = 3", "cell_options must be a table"),
        ("training = 3", "training must be a table"),
        ("[training]\nepochs = 3", "training: there is no setting 'epochs', only seed, "),
        ("[training]\nsteps = -3", "training steps must be at least 1, got -3"),
        ("[training]\nsteps = []", r"training steps must be a whole number"),
        ("[training.steps]", r"training steps must be a whole number"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_clear_error(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"settings {path}.*{said}"):
        read_settings(path)
    out = tmp_path / "run"
    assert main(["train", "target", "--settings", str(path), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task = "acrobatics"', "task must be one of target, "),
        ('task = "target"\ncell = "neuron"', "'neuron'"),
        ('task = "target"\nchannels = ["telepathy"]', "no encoder 'telepathy'"),
        ('task = "target"\ndifficulty = 2', "difficulty must be in [0, 1], got 2"),
        ('task = "target"\nunits = 0', "at least 1"),
        ('task = "target"\nstart = "nowhere"', "no model bundle at nowhere"),
    ],
)
def test_names_of_parts_that_are_not_there_are_one_line(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "some.toml", tmp_path / "run"
    path.write_text(text)
    assert main(["train", "--settings", str(path), "--out", str(out)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1
    assert not out.exists()


def test_a_policy_is_trained_again_from_the_settings_in_its_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again, other = (str(tmp_path / name) for name in ("first", "again", "other"))
    some = ["--difficulty", "0.2", "--speed", "1.5"]
    assert main(["train", "target", *some, *FEW, *SMALL, "--out", first]) == 0
    told = capsys.readouterr().out.splitlines()[-3:]
    assert told == [
        f"trained: {first}/model",
        f"fly it: liquid-nav fly --task target --model {first}/model",
        f"compare it with other pilots: liquid-nav eval {first}/model",
    ]
    settings = Path(first, "model", "settings.toml")
    assert settings.read_text() == Path(first, "settings.toml").read_text()
    assert read_settings(settings)["cell_options"] == {"tau_min": 0.05}
    assert main(["train", "--settings", str(settings), "--workers", "0", "--out", again]) == 0
    one, same = (load_network(Path(run, "model"))[0].state_dict() for run in (first, again))
    for name, expected in one.items():
        assert torch.equal(expected, same[name]), name
    # An option that is given wins.
    more = ["--settings", str(settings), "--workers", "0", "--units", "9", "--seed", "1"]
    assert main(["train", *more, "--out", other]) == 0
    changed = read_settings(Path(other, "settings.toml"))
    assert (changed["units"], changed["training"].seed, changed["difficulty"]) == (9, 1, 0.2)
    assert changed["speed"] == 1.5


def test_the_settings_of_a_bundle_are_checked_as_the_rest_of_it(tmp_path: Path) -> None:
    config, network = small_network()
    path = tmp_path / "model"
    save_bundle(path, network, Manifest("target", config, {}, {}), 'task = "target"\n')
    read_manifest(path)
    (path / "settings.toml").write_text('task = "gates"\n')
    with pytest.raises(BundleError, match=r"settings\.toml is damaged or was changed"):
        read_manifest(path)
    (path / "settings.toml").unlink()
    with pytest.raises(BundleError, match=r"lacks settings\.toml"):
        read_manifest(path)
    # A bundle without settings takes the place of one with some.
    save_bundle(path, network, Manifest("target", config, {}, {}))
    assert not (path / "settings.toml").exists()
    read_manifest(path)


def test_a_policy_with_optional_channels_is_trained_and_trained_again(tmp_path: Path) -> None:
    """It flies without the range finder, and its settings say that it may."""
    command = ["train", "target", "--channels", "imu", "--optional", "range", *FEW, *SMALL]
    assert main([*command, "--out", str(tmp_path / "first")]) == 0
    first = tmp_path / "first/model"
    config = read_manifest(first).config
    assert (config.optional, sorted(config.needed)) == (("range",), ["imu"])
    again = ["train", "--settings", str(first / "settings.toml"), "--workers", "0"]
    assert main([*again, "--out", str(tmp_path / "again")]) == 0
    assert read_manifest(tmp_path / "again/model").config == config
