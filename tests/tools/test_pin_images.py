"""Digests of base images in `.env`. No engine and no registry is at hand: their answer is that of a program here."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.pin_images import NoDigest, find_images, main, read_digest, with_variables

DIGEST = "sha256:" + "a" * 64


def engine(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a `docker` on PATH that does as a shell script says."""
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_the_images_are_those_of_the_compose_files() -> None:
    found = find_images(ROOT)
    assert found["PYTHON_IMAGE"] == "python:3.11-slim-bookworm"
    assert found["POSTGRES_IMAGE"] == "postgres:16-bookworm"
    assert not {"API_IMAGE", "TRAINER_IMAGE", "TRAINER_GPU_IMAGE"} & found.keys()
    assert f"ARG PYTHON_IMAGE={found['PYTHON_IMAGE']}\n" in (ROOT / "Dockerfile").read_text()


def test_digests_are_written_and_other_lines_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, monkeypatch, f'[ "$1 $2 $3" = "buildx imagetools inspect" ] && echo {DIGEST}')
    (tmp_path / "docker-compose.yml").write_text("image: ${POSTGRES_IMAGE:-postgres:16-bookworm}\n")
    (tmp_path / ".env").write_text("TPLUS_SOURCE=yahoo\nPOSTGRES_IMAGE=postgres:15\n")
    assert main(tmp_path) == 0
    assert (tmp_path / ".env").read_text() == (f"TPLUS_SOURCE=yahoo\nPOSTGRES_IMAGE=postgres:16-bookworm@{DIGEST}\n")
    assert with_variables("", {"A_IMAGE": "a:1"}) == "A_IMAGE=a:1\n"


@pytest.mark.parametrize(
    ("body", "reason"), [("echo no such plugin >&2; exit 1", "no such plugin"), ("echo latest", "no message")]
)
def test_without_a_digest_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], body: str, reason: str
) -> None:
    engine(tmp_path, monkeypatch, body)
    (tmp_path / "docker-compose.yml").write_text("image: ${POSTGRES_IMAGE:-postgres:16-bookworm}\n")
    assert main(tmp_path) == 0
    assert f"was NOT PINNED: docker buildx gave no digest ({reason}); .env is unchanged" in capsys.readouterr().out
    assert not (tmp_path / ".env").exists()


def test_a_machine_without_an_engine_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoDigest, match="docker is not installed"):
        read_digest("postgres:16-bookworm")
