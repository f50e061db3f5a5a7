"""Runs PostgreSQL's own pg_dump and pg_restore; a password goes to them in a file, never on the command line."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from service.errors import LedgerError

_DEBIAN = Path("/usr/lib/postgresql")
_OUTPUT = 2_000
"""Characters of a program's messages that an error shows."""


def find_tool(name: str) -> Path:
    """Return the newest of a client program: below Debian's folder, else on PATH.

    Raises:
        LedgerError: it is not installed.
    """
    found = [path for path in _DEBIAN.glob(f"*/bin/{name}") if os.access(path, os.X_OK)]
    if found:
        return max(found, key=lambda path: int("".join(re.findall(r"\d+", path.parent.parent.name)) or 0))
    on_path = shutil.which(name)
    if on_path is None:
        raise LedgerError(
            f"{name} is not installed; install PostgreSQL's client programs (Debian: postgresql-client) of the "
            "server's version or newer, or copy into an SQLite file with `tplus db copy sqlite:///FILE`"
        )
    return Path(on_path)


@contextmanager
def login(url: URL) -> Iterator[str]:
    """Yield a connection string for a URL; its password is in a file that only this user may read, for the block.

    Raises:
        LedgerError: the URL has a secret that cannot be in that file.
    """
    values: dict[str, str] = {name: str(value) for name, value in url.query.items() if isinstance(value, str)}
    password = values.pop("password", None) if url.password is None else str(url.password)
    values.pop("password", None)
    if "sslpassword" in values:
        raise LedgerError(
            "TPLUS_DATABASE_URL has sslpassword, which the command line of PostgreSQL's programs would show; use a key "
            "without a passphrase that only this user may read"
        )
    for name, value in (("host", url.host), ("port", url.port), ("user", url.username), ("dbname", url.database)):
        if value is not None:
            values[name] = str(value)
    if password is None:
        yield make_conninfo("", **values)  # the environment's PGPASSFILE or ~/.pgpass, if any
        return
    with tempfile.TemporaryDirectory(prefix="tplus-") as folder:
        path = Path(folder) / "pgpass"
        path.touch(0o600)
        secret = password.replace("\\", "\\\\").replace(":", "\\:")
        path.write_text(f"*:*:*:*:{secret}\n")
        yield make_conninfo("", **values, passfile=str(path))


def run_tool(name: str, arguments: Sequence[str]) -> None:
    """Run a client program to its end.

    Raises:
        LedgerError: it is not installed or failed; the message has its own words.
    """
    program = find_tool(name)
    done = subprocess.run([str(program), *arguments], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split())[:_OUTPUT]
        raise LedgerError(f"{program} failed: {words}; nothing was changed")
