"""Model bundles: what is saved is what flies, and nothing damaged is ever loaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.errors import BundleError
from liquid_nav.policy import (
    Manifest,
    Policy,
    PolicyConfig,
    annotate_bundle,
    load_network,
    load_policy,
    read_manifest,
    save_bundle,
)
from support import frame, sample, small_network

FILES = ("policy.pt", "weights.safetensors", "manifest.json")


def write(path: Path, cell: str = "liquid_flow", seed: int = 0, **cell_options: Any) -> Path:
    config, network = small_network(cell, seed, **cell_options)
    save_bundle(path, network, Manifest("target", config, {"seed": seed}, {"success": 1}))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("bundle") / "model")


def copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for name in FILES:
        (target / name).write_bytes((source / name).read_bytes())
    return target


@pytest.mark.parametrize(
    ("cell", "options"),
    [("liquid_flow", {}), ("ltc", {}), ("liquid_flow", {"max_frequency": 2.0})],
    ids=str,
)
def test_saved_trained_and_flown_are_the_same_policy(
    tmp_path: Path, cell: str, options: dict[str, Any]
) -> None:
    config, network = small_network(cell, **options)
    path = write(tmp_path / "model", cell, **options)
    flying, manifest = load_policy(path)
    trainable, _ = load_network(path)
    assert manifest.config == config
    assert manifest.training == {"seed": 0}
    answers = []
    for policy in (Policy(config, network), flying, Policy(config, trainable)):
        memory, commands = policy.initial(), []
        for k in range(8):
            event = frame(k * 0.03, 0.02, k) if k % 3 == 0 else sample(k * 0.03, 0.001, k)
            memory, raw = policy.on_event(memory, event, 30_000_000, event.latency)
            commands += [raw, policy.query(memory, 7_000_000)]
        answers.append(commands)
    assert answers[0] == answers[1] == answers[2]
    assert np.ptp(answers[0]) > 0.01


def test_a_configuration_survives_its_json() -> None:
    config = PolicyConfig(cell="ltc", units=7, convolutions=(3, 5), cell_options={"max_step": 0.05})
    assert PolicyConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(FILES), where=st.floats(0, 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_found(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, name: str, where: float, flip: int
) -> None:
    path = copy(whole, tmp_path_factory.mktemp("changed") / "model")
    data = bytearray((path / name).read_bytes())
    data[min(int(where * len(data)), len(data) - 1)] ^= flip
    (path / name).write_bytes(data)
    try:
        manifest = read_manifest(path)
    except BundleError as error:
        complaint = str(error)
    else:
        # Only white space between JSON tokens may change unseen.
        assert name == "manifest.json"
        assert manifest == read_manifest(whole)
        return
    assert str(path) in complaint


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_found(whole: Path, tmp_path: Path, name: str, keep: float) -> None:
    path = copy(whole, tmp_path / "model")
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[: int(keep * len(data))])
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        load_policy(path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(whole: Path, tmp_path: Path, name: str) -> None:
    path = copy(whole, tmp_path / "model")
    (path / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        load_policy(path)


def test_a_missing_bundle_and_a_foreign_manifest_are_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle at"):
        load_policy(tmp_path / "nothing")
    for text in (
        "[" * 100_000,
        "[]",
        "{}",
        '{"format": "liquid-nav-policy/1"}',
        "not json",
        '{"format": 3}',
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(BundleError, match=r"manifest\.json"):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        *(
            {name: value}
            for name in ("config", "files", "training")
            for value in (None, 5, "x", [])
        ),
        {"config": {}},
        {"files": {}},
    ],
    ids=str,
)
def test_a_manifest_that_vouches_for_nonsense_is_refused(
    whole: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = copy(whole, tmp_path / "model")
    rewrite(path, change)
    for load in (load_policy, load_network):
        with pytest.raises(BundleError, match=str(path)):
            load(path)


@pytest.mark.parametrize("change", [{"cell": []}, {"cell": "none"}, {"cell_options": 5}], ids=str)
def test_an_architecture_that_cannot_be_built_is_refused(
    whole: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = copy(whole, tmp_path / "model")
    config = json.loads((path / "manifest.json").read_text())["config"]
    rewrite(path, {"config": config | change})
    with pytest.raises(BundleError, match="does not fit its manifest"):
        load_network(path)


def rewrite(path: Path, change: dict[str, Any]) -> None:
    """Change the manifest of a bundle, and its SHA-256 with it."""
    content = json.loads((path / "manifest.json").read_text()) | change
    del content["sha256"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(content | {"sha256": digest}))


def test_a_bundle_that_cannot_be_read_is_named(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy(whole, tmp_path / "model")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(BundleError, match=r"policy\.pt cannot be read"):
        load_policy(path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    config, network = small_network()
    other = PolicyConfig(**(vars(config) | {"units": 5}))
    save_bundle(tmp_path / "model", network, Manifest("target", other, {}, {}))
    with pytest.raises(BundleError, match="does not fit its manifest"):
        load_network(tmp_path / "model")


def test_saving_replaces_a_bundle_whole_and_keeps_its_card(whole: Path, tmp_path: Path) -> None:
    path = copy(whole, tmp_path / "model")
    (path / "CARD.md").write_text("about")
    write(path, seed=3)
    assert read_manifest(path).training == {"seed": 3}
    assert (path / "CARD.md").read_text() == "about"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_saving_never_overwrites_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="not a model bundle"):
        write(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    config, network = small_network()
    with pytest.raises(TypeError):
        save_bundle(tmp_path / "model", network, Manifest("target", config, {"bad": object()}, {}))
    assert list(tmp_path.iterdir()) == []


def test_evaluation_figures_can_be_added_later(whole: Path, tmp_path: Path) -> None:
    path = copy(whole, tmp_path / "model")
    annotate_bundle(path, {"success": 47})
    assert read_manifest(path).evaluation == {"success": 47}
    assert torch.equal(load_network(path)[0].head.weight, load_network(whole)[0].head.weight)


def test_saving_through_a_link_replaces_what_it_points_to(whole: Path, tmp_path: Path) -> None:
    path, link = copy(whole, tmp_path / "model"), tmp_path / "link"
    link.symlink_to(path)
    write(link, seed=4)
    assert link.is_symlink()
    assert read_manifest(path).training == {"seed": 4}
    assert {entry.name for entry in tmp_path.iterdir()} == {"model", "link"}
