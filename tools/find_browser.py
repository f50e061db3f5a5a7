"""Find the Chromium of the page's tests, or install one: `make test` runs this first.

    .venv/bin/python -m tools.find_browser [PATH]

The order is: PATH, if given and not empty; a browser of the system; Playwright's own. Without any of them the script
tries to install one and reports the result in a sentence. The exit status is 1 if there is no browser in the end.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLAYWRIGHT_FOLDERS = (".cache/ms-playwright", "Library/Caches/ms-playwright")
"""Folders of Playwright's browsers, below the home folder."""
_PLAYWRIGHT_PATTERNS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/*/*headless*shell",
)
_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q")
"""Without questions from packages."""
_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
)
DEBIAN_SECONDS, PLAYWRIGHT_SECONDS = 420.0, 240.0


def find_browser(named: str = "", home: Path | None = None) -> str | None:
    """Return the path of a Chromium, None if there is none; starts no process.

    Args:
        named: A path or program name with precedence; empty = none.
        home: The home folder; None = this user's.

    Raises:
        FileNotFoundError: the named browser does not exist.
    """
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(
                f"TPLUS_BROWSER names {named}, which is not a program on this machine; name another, or unset it"
            )
        return found
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    return _find_playwright(Path.home() if home is None else home)


def flags() -> list[str]:
    """Return the browser's flags: no background activity; as root no sandbox."""
    return [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)


def _find_playwright(home: Path) -> str | None:
    for folder in PLAYWRIGHT_FOLDERS:
        for pattern in _PLAYWRIGHT_PATTERNS:
            found = sorted(path for path in (home / folder).glob(pattern) if os.access(path, os.X_OK))
            if found:
                return str(found[-1])
    return None


def install() -> None:
    """Try the system's package if that is allowed, else Playwright's own download."""
    if os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get"):
        _report("no Chromium found; installing Debian's package chromium, which may take some minutes")
        _succeeds([*_APT, "update"], DEBIAN_SECONDS)  # an old list names packages that no longer exist
        if _succeeds([*_APT, "install", "-y", "--no-install-recommends", "chromium"], DEBIAN_SECONDS):
            return
        _report("Debian's package could not be installed")
    _report("no Chromium found; installing Playwright's, which may take some minutes")
    if not _succeeds([sys.executable, "-m", "playwright", "install", "chromium"], PLAYWRIGHT_SECONDS):
        _report("Playwright could not install one")


def _succeeds(command: Sequence[str], seconds: float) -> bool:
    """Return whether a command succeeds in time; prints the end of its output if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        _report(f"{' '.join(command)} took longer than {seconds:.0f} s and was stopped")
        return False
    if done.returncode:
        _report((done.stdout + done.stderr).strip()[-400:])
    return done.returncode == 0


def _report(sentence: str) -> None:
    sys.stderr.write(f"browser: {sentence}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Find or install a browser; returns the exit status."""
    named = arguments[0] if arguments else ""
    try:
        if find_browser(named) is not None:
            return 0
    except FileNotFoundError as error:
        _report(str(error))
        return 1
    install()
    if find_browser() is not None:
        return 0
    _report("no browser: the page's tests are skipped (and fail with CI=true); install chromium or set TPLUS_BROWSER")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
