"""Model bundles: what is saved is what flies, and nothing damaged is ever loaded."""

import hashlib
import importlib.metadata
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from killed import Killed, killed_at
from liquid_nav import files
from liquid_nav.errors import BundleError
from liquid_nav.events import Channel
from liquid_nav.onboard import Manifest, Policy, PolicyConfig, load_policy, native, read_manifest
from liquid_nav.onboard.encoders import CameraEncoder, ImuEncoder, OdometryEncoder
from liquid_nav.onboard.runtime import NativeRuntime, probe
from liquid_nav.policy import annotate_bundle, load_network, make_policy, save_bundle
from liquid_nav.policy.scripted import ScriptedRuntime
from support import frame, sample, small_network

EYE = "encoders.camera.0"

FILES = ("policy.pt", "weights.safetensors", "native.safetensors", "manifest.json")

needs_kernel = pytest.mark.skipif(native.kernel is None, reason="the native kernel is not built")


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


def flown(policy: Policy) -> list[tuple[float, float, float, float]]:
    """Raw commands of eight events, and of a query after each."""
    memory, commands = policy.initial(), []
    for k in range(8):
        event = frame(k * 0.03, 0.02, k) if k % 3 == 0 else sample(k * 0.03, 0.001, k)
        memory, raw = policy.on_event(memory, event, 30_000_000, event.latency)
        commands += [raw, policy.query(memory, 7_000_000)]
    return commands


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
    policies = (make_policy(config, network), flying, make_policy(config, trainable))
    answers = [flown(policy) for policy in policies]
    assert answers[0] == answers[1] == answers[2]
    assert np.ptp(answers[0]) > 0.01


def test_a_configuration_survives_its_json() -> None:
    config = PolicyConfig(
        (ImuEncoder(3), CameraEncoder(5, convolutions=(3, 5)), OdometryEncoder(4, pose=True)),
        cell="ltc",
        units=7,
        cell_options={"max_step": 0.05},
    )
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
    with pytest.raises(BundleError, match=r"does not fit its manifest|of a policy must be a"):
        load_network(path)


def rewrite(path: Path, change: dict[str, Any]) -> None:
    """Change the manifest of a bundle, and its SHA-256 with it."""
    content = json.loads((path / "manifest.json").read_text()) | change
    del content["sha256"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(content | {"sha256": digest}))


WITHOUT_TORCH = """
import importlib.abc, sys

class Refusing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("there is no torch aboard")

sys.meta_path.insert(0, Refusing())
from pathlib import Path
from liquid_nav.controller import Controller
from liquid_nav.onboard import load_policy
from liquid_nav.onboard.runtime import probe

policy, manifest = load_policy(Path(sys.argv[1]))
Controller(policy)
print(probe(policy.runtime, manifest.config).tolist(), policy.core_state(policy.initial()))
"""


@needs_kernel
@pytest.mark.parametrize("cell", ["liquid_flow", "ltc"])
def test_a_bundle_flies_without_torch(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "model", cell)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(path)], capture_output=True, text=True, check=True
    )
    config, network = small_network(cell)
    policy = make_policy(config, network)
    commands = probe(policy.runtime, config)
    assert run.stdout.strip() == f"{commands.tolist()} {policy.core_state(policy.initial())}"
    scripted = make_policy(config, network, native=False)
    np.testing.assert_allclose(commands, probe(scripted.runtime, config), atol=1e-5)


def refold(path: Path, change: Callable[[dict[str, Any], dict[str, str]], object]) -> None:
    """Change arrays and description of the native form, and have the manifest vouch for them."""
    file = path / "native.safetensors"
    with safe_open(file, framework="numpy") as source:
        about, arrays = source.metadata(), {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
    change(arrays, about)
    save_file(arrays, file, about)
    files = json.loads((path / "manifest.json").read_text())["files"]
    rewrite(path, {"files": files | {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}})


@needs_kernel
@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, _: arrays.update(probe=-arrays["probe"]),
        lambda arrays, _: arrays.update(probe=arrays["probe"][:-1]),
        lambda arrays, _: arrays.update(probe=arrays["probe"] * np.nan),
        lambda arrays, _: arrays.update(head_weight=arrays["head_weight"] * np.float32(1.01)),
        lambda arrays, _: arrays.update({"core.bias": arrays["core.bias"] * np.float32(np.nan)}),
        lambda _, about: about.update(form="liquid_nav 0"),
    ],
    ids=["turned", "cut", "nan", "head", "core", "form"],
)
def test_a_native_form_that_torchscript_does_not_vouch_for_does_not_fly(
    whole: Path, tmp_path: Path, change: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, load, scripts = copy(whole, tmp_path / "model"), torch.jit.load, []

    def loading(script: str, **options: Any) -> torch.jit.ScriptModule:
        scripts.append(script)
        return load(script, **options)

    monkeypatch.setattr(torch.jit, "load", loading)
    assert isinstance(load_policy(path)[0].runtime, NativeRuntime)
    assert scripts == []
    refold(path, change)
    policy, _ = load_policy(path)
    assert scripts == [str(path / "policy.pt")]
    # TorchScript flies, or has its own weights folded, and gives the commands of before.
    np.testing.assert_allclose(flown(policy), flown(load_policy(whole)[0]), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, _: arrays.pop("head_bias"),
        lambda arrays, _: arrays.pop("probe"),
        lambda arrays, _: arrays.pop("core.bias"),
        lambda arrays, _: arrays.update({"core.bias": arrays["core.bias"].astype(float)}),
        lambda arrays, _: arrays.update({"core.bias": arrays["core.bias"][:-1]}),
        lambda arrays, _: arrays.update({"core.states": arrays["core.states"].T.copy()}),
        lambda arrays, _: arrays.update({"core.input_limit": np.array(-1.0)}),
        lambda arrays, _: arrays.update({"core.input_limit": np.array(np.inf)}),
        lambda arrays, _: arrays.update({EYE: arrays[EYE][:, :2].copy()}),
        lambda arrays, _: arrays.update({EYE: arrays[EYE].astype(float)}),
        lambda arrays, _: arrays.pop(EYE),
        lambda arrays, _: arrays.update({"encoders.sonar.0": arrays[EYE]}),
        lambda arrays, _: arrays.update(scale=arrays["scale"][:3]),
        lambda _, about: about.update(core="gru"),
        lambda _, about: about.pop("core"),
    ],
    ids=range(15),
)
@needs_kernel
def test_a_native_form_that_is_none_is_refused(
    whole: Path, tmp_path: Path, change: Callable[..., object]
) -> None:
    """Its sizes lead memory of the kernel's: a manifest's word is not enough."""
    path = copy(whole, tmp_path / "model")
    refold(path, change)
    with pytest.raises(BundleError, match=r"native\.safetensors is not a policy of its manifest"):
        load_policy(path)


@needs_kernel
def test_a_native_form_of_another_size_than_the_manifests_is_refused(
    whole: Path, tmp_path: Path
) -> None:
    path = copy(whole, tmp_path / "model")
    config = json.loads((path / "manifest.json").read_text())["config"]
    rewrite(path, {"config": config | {"units": 13}})
    with pytest.raises(BundleError, match="the core has 12 units"):
        load_policy(path)


def test_a_bundle_without_a_native_form_flies(whole: Path, tmp_path: Path) -> None:
    """As those of the first versions, and those of cells that the kernel has not."""
    path = copy(whole, tmp_path / "model")
    (path / "native.safetensors").unlink()
    files = json.loads((path / "manifest.json").read_text())["files"]
    del files["native.safetensors"]
    rewrite(path, {"files": files})
    assert flown(load_policy(path)[0]) == flown(load_policy(whole)[0])
    write(tmp_path / "gru", "gru")
    assert not (tmp_path / "gru" / "native.safetensors").exists()
    assert isinstance(load_policy(tmp_path / "gru")[0].runtime, ScriptedRuntime)


def test_a_native_form_that_the_manifest_does_not_list_is_refused(
    whole: Path, tmp_path: Path
) -> None:
    """Else whoever can write the folder flies what they like, under a manifest that was pinned."""
    path = copy(whole, tmp_path / "model")
    files = json.loads((path / "manifest.json").read_text())["files"]
    del files["native.safetensors"]
    rewrite(path, {"files": files})
    with pytest.raises(BundleError, match=r"native\.safetensors is damaged or was changed"):
        load_policy(path)


def test_without_the_kernel_a_bundle_flies_by_torchscript(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    natively = flown(load_policy(whole)[0])
    monkeypatch.setattr(native, "kernel", None)
    policy, _ = load_policy(whole)
    assert isinstance(policy.runtime, ScriptedRuntime)
    np.testing.assert_allclose(flown(policy), natively, atol=1e-5)


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


@pytest.mark.parametrize("exchanging", [True, False])
def test_a_save_that_is_killed_leaves_the_old_bundle_or_the_new_one(
    whole: Path, tmp_path: Path, exchanging: bool
) -> None:
    cuts = 0
    for call in itertools.count(1):
        (tmp_path / str(call)).mkdir()
        path = copy(whole, tmp_path / str(call) / "model")
        with pytest.MonkeyPatch.context() as patch:
            if not exchanging:
                patch.setattr(files, "_exchange", lambda *_: False)
            try:
                with killed_at(call):
                    write(path, seed=3)
            except Killed:
                cuts += 1
        policy, manifest = load_policy(path)
        seed = manifest.training["seed"]
        assert load_network(path)[1].training == {"seed": seed}
        if manifest.training["seed"] == 0:
            assert flown(policy) == flown(load_policy(whole)[0])
        write(path, seed=4)
        assert read_manifest(path).training == {"seed": 4}
        if seed == 3 and cuts < call:
            break
    assert cuts > 10


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


# Bundles of format 1, which knew camera and IMU only: the first that was shipped

FORMAT_1 = Path(__file__).parent / "format_1"


def test_a_bundle_of_format_1_is_what_it_was() -> None:
    manifest = read_manifest(FORMAT_1)
    eye, sense = manifest.config.encoders
    assert (eye, sense) == (CameraEncoder(), ImuEncoder())
    network, _ = load_network(FORMAT_1)
    native_form = safe_open(FORMAT_1 / "native.safetensors", framework="numpy")
    assert json.loads((FORMAT_1 / "manifest.json").read_text())["format"].endswith("/1")
    assert "imu_weight" in native_form.keys()  # noqa: SIM118
    scripted, _ = load_policy(FORMAT_1, runtime="torchscript")
    again = make_policy(manifest.config, network, native=False)
    assert hasattr(scripted.runtime.network, "on_camera")
    assert flown(scripted) == flown(again)
    natively, _ = load_policy(FORMAT_1)
    np.testing.assert_allclose(flown(natively), flown(scripted), atol=1e-5)


@needs_kernel
def test_a_bundle_of_format_1_flies_natively_from_its_file_and_from_its_script(
    tmp_path: Path,
) -> None:
    natively, manifest = load_policy(FORMAT_1, runtime="native")
    folded, _ = load_policy(FORMAT_1, runtime="folded")
    assert flown(natively) == flown(folded)
    network, _ = load_network(FORMAT_1)
    save_bundle(tmp_path / "model", network, manifest)
    assert flown(load_policy(tmp_path / "model", runtime="native")[0]) == flown(natively)


@needs_kernel
def test_the_log_says_what_flies_and_why_nothing_faster_does(
    whole: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level("INFO", "liquid_nav"):
        load_policy(whole)
        assert caplog.messages == [f"{whole}: the runtime native evaluates it"]
        caplog.clear()
        monkeypatch.setattr(native, "kernel", None)
        load_policy(whole)
    assert caplog.messages[0] == (
        f"{whole}: the runtime native cannot evaluate it: the native kernel is not built or "
        "switched off"
    )
    assert caplog.messages[-1] == f"{whole}: the runtime torchscript evaluates it"


def test_a_runtime_can_be_asked_for_and_is_refused_by_name(whole: Path) -> None:
    assert isinstance(load_policy(whole, runtime="torchscript")[0].runtime, ScriptedRuntime)
    with pytest.raises(BundleError, match="there is no runtime 'abacus'"):
        load_policy(whole, runtime="abacus")


def test_no_entry_points_are_searched_to_fly_natively(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError("entry points were searched")

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    assert load_policy(whole)[0].channels == {"camera", "imu"}


def test_a_bundle_is_named_by_text_too(whole: Path, tmp_path: Path) -> None:
    policy, manifest = load_policy(str(whole))
    assert manifest == load_policy(whole)[1] == read_manifest(str(whole))
    network, _ = load_network(str(whole))
    save_bundle(str(tmp_path / "again"), network, manifest)
    annotate_bundle(str(tmp_path / "again"), {"flights": 3})
    assert read_manifest(str(tmp_path / "again")).evaluation == {"flights": 3}
    with pytest.raises(BundleError, match="no model bundle at a string"):
        load_policy("a string")
    assert policy.channels == {Channel.CAMERA, Channel.IMU}


@pytest.mark.parametrize("path", [None, 5, b"models", ["models"]], ids=repr)
def test_what_is_no_path_names_no_bundle(path: Any) -> None:
    for read in (load_policy, read_manifest, load_network):
        with pytest.raises(BundleError, match="named by its path, got"):
            read(path)
    with pytest.raises(BundleError, match="pinned must be text"):
        load_policy("models", pinned=5)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="runtime must be text"):
        load_policy("models", runtime=["native"])  # type: ignore[arg-type]


@pytest.mark.parametrize("runtime", ["native", "folded", "torchscript", ""])
def test_a_policy_leaves_the_threads_of_torch_to_the_process(whole: Path, runtime: str) -> None:
    if runtime == "native" and native.kernel is None:
        pytest.skip("the native kernel is not built")
    try:
        torch.set_num_threads(3)
        policy, _ = load_policy(whole, runtime=runtime)
        assert torch.get_num_threads() == 3
        memory, _ = policy.on_event(policy.initial(), sample(0.0), 10**6, 0)
        policy.query(memory, 10**6)
        policy.core_state(memory)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_torchscript_evaluates_in_one_thread(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, _ = load_policy(whole, runtime="torchscript")
    runtime = policy.runtime
    assert isinstance(runtime, ScriptedRuntime)
    seen = []

    class Spy:
        def query(self, *_: Any) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            raise RuntimeError("after a look at the threads")

    try:
        torch.set_num_threads(3)
        monkeypatch.setattr(runtime, "network", Spy())
        with pytest.raises(RuntimeError, match="after a look"):
            policy.query(policy.initial(), 0)
        assert (seen, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("use", ["fly natively", "fly by TorchScript", "save"])
def test_a_network_in_training_stays_in_training(tmp_path: Path, use: str) -> None:
    config, network = small_network()
    network.train()
    network.head.eval()  # as somebody who freezes a part does
    before = [module.training for module in network.modules()]
    if use == "save":
        save_bundle(tmp_path / "model", network, Manifest("target", config, {}, {}))
    else:
        make_policy(config, network, native=use == "fly natively")
    assert [module.training for module in network.modules()] == before
    assert not all(before)
    assert network.training
