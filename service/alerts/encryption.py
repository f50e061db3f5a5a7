"""Encrypts targets and secrets with the keys of a file.

The file has one Fernet key per line. The first encrypts, all decrypt: a new first line rotates the key.
"""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.errors import TplusError

MAX_BYTES = 10_000
"""Largest key file that is read."""


class KeyFileError(TplusError):
    """The key file cannot be used; the message names it and what to do."""


class Encryption:
    """Encrypts and decrypts texts; the key file is read again whenever it has changed.

    Args:
        path: The key file; made at first use if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], MultiFernet] | None = None

    def encrypt(self, text: str) -> str:
        """Return a text encrypted with the first key.

        Raises:
            KeyFileError: the file cannot be made or read.
        """
        return self._keys(create=True).encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Return a text that `encrypt` made.

        Raises:
            KeyFileError: the file is missing, or none of its keys fits.
        """
        try:
            return self._keys(create=False).decrypt(token.encode()).decode()
        except InvalidToken as error:
            raise KeyFileError(
                f"no key in {self._path} decrypts this target; put the key back with which it was added, "
                "or remove the subscription and add it again"
            ) from error

    def renew(self, token: str) -> str:
        """Return the same text encrypted with the first key.

        Raises:
            KeyFileError: as `decrypt`.
        """
        return self.encrypt(self.decrypt(token))

    def _keys(self, *, create: bool) -> MultiFernet:
        try:
            if create and not self._path.exists():
                _create(self._path)
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, _parse(self._path))
        except OSError as error:
            raise KeyFileError(
                f"the alert key file {self._path} cannot be used ({error.strerror}); "
                "restore it, or set TPLUS_ALERT_KEY_FILE to one that this process can read"
            ) from error
        return self._read[1]


def add_key(path: Path) -> None:
    """Put a new key into the first line of the file; the keys below still decrypt.

    Raises:
        KeyFileError: the file cannot be read or written.
    """
    try:
        old = path.read_text() if path.exists() else ""
        _replace(path, Fernet.generate_key().decode() + "\n" + old)
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"the alert key file {path} cannot be changed ({error}); check its owner and mode"
        ) from error


def _parse(path: Path) -> MultiFernet:
    with path.open("rb") as file:
        lines = file.read(MAX_BYTES).split()
    try:
        return MultiFernet([Fernet(line) for line in lines])
    except ValueError as error:
        raise KeyFileError(
            f"the alert key file {path} is not valid; it needs one Fernet key per line, 44 characters each"
        ) from error


def _create(path: Path) -> None:
    """Make the file, mode 0600; of two processes at once one wins and both use its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, Fernet.generate_key().decode() + "\n")
    try:
        os.link(draft, path)  # fails where the file exists: it is never overwritten, and never seen half-written
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _draft(path, text).replace(path)


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
