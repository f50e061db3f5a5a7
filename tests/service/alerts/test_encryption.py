"""The key file: made once with mode 0600, rotated, and reported when it does not fit."""

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from service.alerts.encryption import Encryption, KeyFileError, add_key


def test_the_file_is_made_at_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "alerts.key"
    token = Encryption(path).encrypt("https://example.com/secret")
    assert "example" not in token
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["alerts.key"]
    assert Encryption(path).decrypt(token) == "https://example.com/secret"


def test_a_file_that_exists_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "alerts.key"
    key = Fernet.generate_key()
    path.write_bytes(key)
    token = Encryption(path).encrypt("a")
    assert path.read_bytes() == key
    assert Fernet(key).decrypt(token.encode()) == b"a"


def test_a_new_first_line_encrypts_and_the_old_ones_still_decrypt(tmp_path: Path) -> None:
    path = tmp_path / "alerts.key"
    encryption = Encryption(path)
    old = encryption.encrypt("a")
    first = path.read_text()
    add_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert encryption.decrypt(old) == "a"
    renewed = encryption.renew(old)
    path.write_text(path.read_text().splitlines()[0])
    assert encryption.decrypt(renewed) == "a"
    assert first.strip() not in path.read_text()
    with pytest.raises(KeyFileError, match=r"no key in .* decrypts this target"):
        encryption.decrypt(old)


def test_decrypting_never_makes_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.key"
    token = Encryption(path).encrypt("a")
    path.unlink()
    with pytest.raises(KeyFileError, match="cannot be used"):
        Encryption(path).decrypt(token)
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "short\n", "x" * 44])
def test_a_file_without_valid_keys_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "alerts.key"
    path.write_text(text)
    with pytest.raises(KeyFileError, match="not valid"):
        Encryption(path).encrypt("a")
