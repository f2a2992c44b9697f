"""Bundles of any content: they load, or one typed error says why, and no program in them runs."""

import contextlib
import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liquid_nav.errors import BundleError
from liquid_nav.onboard import Manifest, load_policy
from liquid_nav.policy import load_network, save_bundle
from support import small_network

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 3.5, float("nan"), float("inf"), 1e308),
    *(10**9, 10**15, 10**400, -(10**30), 65_536, "x", "", "camera", "gru"),
    *([], [1], [float("nan")], {}, {"a": 1}, [[1]]),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model"
    config, network = small_network()
    save_bundle(path, network, Manifest("target", config, {"seed": 1}, {}))
    return path


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    for file in whole.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


def load(path: Path) -> None:
    for loading in (load_policy, load_network):
        with contextlib.suppress(BundleError):
            loading(path)


def rewrite(path: Path, content: dict[str, Any]) -> None:
    """Write a manifest whose SHA-256 is its own, and which vouches for the files beside it."""
    content.pop("sha256", None)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(content | {"sha256": digest}))


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children: Any = ()
    if isinstance(tree, dict):
        children = tree.items()
    elif isinstance(tree, list):
        children = enumerate(tree)
    for key, value in children:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(content: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    node: Any = content
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return content


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_manifest_with_other_values(whole: Path, bundle: Path, data: st.DataObject) -> None:
    content = json.loads((whole / "manifest.json").read_text())
    place = data.draw(st.sampled_from(sorted(places(content), key=str)))
    rewrite(bundle, changed(content, place, data.draw(st.sampled_from(VALUES))))
    load(bundle)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "encoders", 0, "convolutions", 0), float("nan")),
        (("config", "encoders", 0, "convolutions", 0), 10**9),
        (("config", "encoders", 0, "camera", "width"), 10**15),
        (("config", "encoders", 0, "camera", "height"), 65_536),
        (("config", "encoders", 0, "features"), 10**9),
        (("config", "limits", "yaw_acceleration"), 10**400),
        (("config", "units"), 10**9),
        (("config", "units"), 3.5),
        (("config", "cell_options"), {"tau_min": "x"}),
        (("config", "cell_options"), {"hidden": 10**9}),
        (("config", "cell_options"), {"max_frequency": float("nan")}),
    ],
    ids=str,
)
def test_what_fuzzing_found(bundle: Path, place: tuple[Any, ...], value: Any) -> None:
    rewrite(bundle, changed(json.loads((bundle / "manifest.json").read_text()), place, value))
    with pytest.raises(BundleError, match=str(bundle)):
        load_network(bundle)
    load(bundle)


def vouch(bundle: Path, name: str, data: bytes) -> None:
    """Put a file in place of another one, with the manifest's word for it."""
    (bundle / name).write_bytes(data)
    content = json.loads((bundle / "manifest.json").read_text())
    content["files"][name] = hashlib.sha256(data).hexdigest()
    rewrite(bundle, content)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["weights.safetensors", "native.safetensors", "policy.pt"]),
    where=st.floats(0, 1),
    patch=st.binary(min_size=1, max_size=30),
    keep=st.floats(0, 1) | st.just(1.0),
)
def test_a_damaged_file_that_the_manifest_vouches_for(
    whole: Path, bundle: Path, name: str, where: float, patch: bytes, keep: float
) -> None:
    data = bytearray((whole / name).read_bytes())
    begin = int(where * len(data))
    data[begin : begin + len(patch)] = patch
    # The files of the example before go back.
    for file in whole.iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    vouch(bundle, name, bytes(data[: int(keep * len(data))]))
    load(bundle)


class Program:
    """A pickle that runs a program when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("name", ["weights.safetensors", "native.safetensors", "policy.pt"])
@pytest.mark.parametrize("form", ["pickle", "torch", "zip"])
def test_a_program_in_place_of_a_file_does_not_run(
    bundle: Path, tmp_path: Path, name: str, form: str
) -> None:
    program, file = Program(tmp_path / "ran"), tmp_path / "program"
    if form == "pickle":
        file.write_bytes(pickle.dumps(program))
    elif form == "torch":
        torch.save(program, file)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("model/data.pkl", pickle.dumps(program))
            archive.writestr("model/constants.pkl", pickle.dumps(()))
            archive.writestr("model/version", "3")
    vouch(bundle, name, file.read_bytes())
    load(bundle)
    for runtime in ("native", "folded", "torchscript"):
        with contextlib.suppress(BundleError):
            load_policy(bundle, runtime=runtime)
    assert not (tmp_path / "ran").exists()


def test_a_header_that_asks_for_more_than_there_is(bundle: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}})
    for size in (len(header), 2**62):
        data = size.to_bytes(8, "little") + header.encode()
        vouch(bundle, "weights.safetensors", data)
        with pytest.raises(BundleError, match=r"weights\.safetensors does not fit"):
            load_network(bundle)
