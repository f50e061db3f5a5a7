"""The database's password as a file: read, put into the URL, never shown, and every misuse told in a sentence."""

import os
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from service.errors import SettingsError
from service.settings import load_settings

URL = "postgresql://tplus@db:5432/prices?sslmode=require"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("a/b:c@d e%\n")
    return path


def environment(path: Path, url: str = URL) -> dict[str, str]:
    return {"TPLUS_DATABASE_URL": url, "TPLUS_DATABASE_PASSWORD_FILE": str(path)}


def test_the_password_goes_into_the_url(secret: Path) -> None:
    settings = load_settings(environment(secret))
    assert settings.url == "postgresql://tplus:a%2Fb%3Ac%40d%20e%25@db:5432/prices?sslmode=require"  # audit: planted
    assert make_url(settings.url).password == "a/b:c@d e%"
    assert "a/b" not in repr(settings)
    assert "%2Fb" not in repr(settings)


def test_a_server_without_a_host_in_its_url_has_a_password_too(secret: Path) -> None:
    settings = load_settings(environment(secret, "postgresql+psycopg://me@/prices?host=/run/postgresql"))
    assert settings.url == "postgresql+psycopg://me:a%2Fb%3Ac%40d%20e%25@/prices?host=/run/postgresql"  # audit: planted


@pytest.mark.parametrize(
    "url", ["postgresql://db/prices", "postgresql://tplus:hidden@db/prices", "sqlite:///a.db", "me@db", ""]
)
def test_a_url_that_wants_no_password_is_refused(secret: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="needs a TPLUS_DATABASE_URL with a user and without a pass") as caught:
        load_settings(environment(secret, url))
    assert "hidden" not in str(caught.value)


def test_a_file_without_a_url_is_refused(secret: Path) -> None:
    with pytest.raises(
        SettingsError, match="with a user and without a password; write it as postgresql://user@host/name"
    ):
        load_settings({"TPLUS_DATABASE_PASSWORD_FILE": str(secret)})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    expected = rf"TPLUS_DATABASE_PASSWORD_FILE={tmp_path}/none cannot be read \(No such file or directory\); use a"
    with pytest.raises(SettingsError, match=expected):
        load_settings(environment(tmp_path / "none"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(secret: Path) -> None:
    secret.chmod(0)
    with pytest.raises(SettingsError, match="Permission denied"):
        load_settings(environment(secret))


@pytest.mark.parametrize(("content", "sentence"), [(b" \n", "is empty; write the"), (b"\xff\xfe", "it is not text")])
def test_a_file_without_a_password_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=sentence):
        load_settings(environment(path))


def test_a_new_password_finds_the_old_models(secret: Path, tmp_path: Path) -> None:
    before = load_settings(environment(secret)).artifact_dir
    secret.write_text("another")
    assert load_settings(environment(secret)).artifact_dir == before
    assert load_settings({"TPLUS_DATABASE_URL": URL}).artifact_dir == before
    other = load_settings({"TPLUS_DATABASE_URL": URL.replace("prices", "others")})
    assert other.artifact_dir != before
    embedded = load_settings({"TPLUS_DATABASE_URL": "sqlite:////srv/a:b@c.db", "TPLUS_DATA_DIR": str(tmp_path)})
    assert embedded.artifact_dir == tmp_path / "artifacts-c45c1f4f4d"
