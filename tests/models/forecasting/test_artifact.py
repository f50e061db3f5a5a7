"""Saving and loading artifacts: a round trip, and every kind of tampering is refused."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from models.config import ModelConfig, Reference, ReferenceRole, Strategy
from models.errors import ArtifactError
from models.forecasting.artifact import Artifact, load_artifact, save_artifact


def artifact() -> Artifact:
    config = ModelConfig(
        "lstm", Strategy.MULTI_STEP, references=(Reference("SPY", ReferenceRole.MARKET),), units=2, seeds=(3, 7)
    )
    weights = {
        seed: {"kernel": np.full((2, 8), seed, np.float32), "head_bias": np.arange(21, dtype=np.float32)}
        for seed in (3, 7)
    }
    return Artifact(config, {"means": [0.1, 1e-17]}, weights, {"metrics": {"pinball": 38.5}})


def saved(tmp_path: Path) -> tuple[Path, str]:
    return save_artifact(artifact(), tmp_path)


def forge(folder: Path, manifest: dict[str, object]) -> str:
    """Write a manifest and return the hash that matches it."""
    body = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(body)
    return hashlib.sha256(body).hexdigest()


def test_round_trip(tmp_path: Path) -> None:
    loaded = load_artifact(*saved(tmp_path))
    assert loaded.config == artifact().config
    assert loaded.pipeline == {"means": [0.1, 1e-17]}
    assert loaded.facts == {"metrics": {"pinball": 38.5}}
    assert sorted(loaded.weights) == [3, 7]
    np.testing.assert_array_equal(loaded.weights[7]["kernel"], np.full((2, 8), 7.0))
    assert loaded.weights[3]["head_bias"].dtype == np.float32


def test_equal_artifacts_are_one_folder(tmp_path: Path) -> None:
    assert saved(tmp_path) == saved(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_changed_folder_is_replaced_by_a_complete_one(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path)
    (folder / "weights.npz").write_bytes(b"cut")
    assert load_artifact(*saved(tmp_path)).config == artifact().config


def test_a_baseline_has_no_weights(tmp_path: Path) -> None:
    config = ModelConfig("random_walk", Strategy.ONE_STEP)
    folder, sha256 = save_artifact(Artifact(config, {}, {}, {}), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "pipeline.json"]
    assert load_artifact(folder, sha256).weights == {}


@pytest.mark.parametrize("name", ["manifest.json", "pipeline.json", "weights.npz"])
def test_every_flipped_byte_is_refused(tmp_path: Path, name: str) -> None:
    folder, sha256 = saved(tmp_path)
    whole = (folder / name).read_bytes()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 0x01
        (folder / name).write_bytes(flipped)
        with pytest.raises(ArtifactError, match="was altered"):
            load_artifact(folder, sha256)


@pytest.mark.parametrize("name", ["manifest.json", "pipeline.json", "weights.npz"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    folder, sha256 = saved(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} cannot be read"):
        load_artifact(folder, sha256)


def test_another_artifact_in_its_place_is_refused(tmp_path: Path) -> None:
    _, sha256 = saved(tmp_path)
    other, _ = save_artifact(Artifact(artifact().config, {"means": [0.2]}, artifact().weights, {}), tmp_path)
    with pytest.raises(ArtifactError, match="was altered"):
        load_artifact(other, sha256)


@pytest.mark.parametrize("name", ["../pipeline.json", "/etc/hostname", "weights.npz/../../x", "keras.h5"])
def test_a_path_in_the_manifest_is_never_followed(tmp_path: Path, name: str) -> None:
    folder, _ = saved(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = "0" * 64
    sha256 = forge(folder, manifest)
    with pytest.raises(ArtifactError, match="do not use it"):
        load_artifact(folder, sha256)


def test_another_format_is_refused(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    sha256 = forge(folder, {**manifest, "format": 99})
    with pytest.raises(ArtifactError, match="format 99"):
        load_artifact(folder, sha256)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"not json", b'{"format": 1, "files": ["a"]}'])
def test_an_invalid_manifest_is_refused(tmp_path: Path, body: bytes) -> None:
    folder, _ = saved(tmp_path)
    (folder / "manifest.json").write_bytes(body)
    with pytest.raises(ArtifactError, match="is not a valid manifest"):
        load_artifact(folder, hashlib.sha256(body).hexdigest())


def test_a_pickled_array_is_not_loaded(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path)
    with (folder / "weights.npz").open("wb") as file:
        np.savez(file, **{"seed0.kernel": np.array([{"a": 1}], dtype=object)})
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["weights.npz"] = hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest()
    sha256 = forge(folder, manifest)
    with pytest.raises(ArtifactError, match="holds object, weights are float32"):
        load_artifact(folder, sha256)


@pytest.mark.parametrize("name", ["manifest.json", "pipeline.json", "weights.npz"])
def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path, name: str) -> None:
    folder, sha256 = saved(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(ArtifactError, match=f"{name} is a link"):
        load_artifact(folder, sha256)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    folder, sha256 = saved(tmp_path)
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(ArtifactError, match="not a regular file"):
        load_artifact(folder, sha256)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder, sha256 = saved(tmp_path)
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)  # a hole: it takes no space
    with pytest.raises(ArtifactError, match="has 1099511627776 bytes, at most 16777216 are read"):
        load_artifact(folder, sha256)


@pytest.mark.parametrize("name", ["pipeline.json", "manifest.json"])
def test_a_deeply_nested_document_is_refused(tmp_path: Path, name: str) -> None:
    folder, sha256 = saved(tmp_path)
    body = b"[" * 200_000
    (folder / name).write_bytes(body)
    if name == "pipeline.json":
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["files"][name] = hashlib.sha256(body).hexdigest()
        sha256 = forge(folder, manifest)
    else:
        sha256 = hashlib.sha256(body).hexdigest()
    with pytest.raises(ArtifactError, match="recursion"):
        load_artifact(folder, sha256)
