"""Find the Chromium that the page's tests look through, or install one: `make test` runs this first.

    .venv/bin/python -m tools.find_browser [PATH]

PATH, where given and not empty, is the browser to take. Else one of the system's, else the one that Playwright keeps
in its own folder. With none of them this tries to install one and says in a sentence how that went; the exit status
is 1 where there is none in the end.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLAYWRIGHT_FOLDERS = (".cache/ms-playwright", "Library/Caches/ms-playwright")
"""Where Playwright puts its browsers, below the home folder."""
_KEPT = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/*/*headless*shell",
)
_APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q")
"""Asks nothing, whatever a package would like to know."""
_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
)
DEBIAN_SECONDS, PLAYWRIGHT_SECONDS = 420.0, 240.0


def find_browser(named: str = "", home: Path | None = None) -> str | None:
    """Path of a Chromium, None where there is none; starts no process.

    Args:
        named: A path or program name that goes before all others; empty = none.
        home: The home folder; None = this user's.

    Raises:
        FileNotFoundError: the browser named is not there.
    """
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"TPLUS_BROWSER names {named}, which is no program here; name one, or unset it")
        return found
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    return _kept_by_playwright(Path.home() if home is None else home)


def flags() -> list[str]:
    """What the browser is started with: nothing of its own goes on in it; as root it has no sandbox."""
    return [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(_FLAGS)


def _kept_by_playwright(home: Path) -> str | None:
    for folder in PLAYWRIGHT_FOLDERS:
        for pattern in _KEPT:
            found = sorted(each for each in (home / folder).glob(pattern) if os.access(each, os.X_OK))
            if found:
                return str(found[-1])
    return None


def install() -> None:
    """Try the system's package where that is allowed, else Playwright's own download."""
    if os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get"):
        _say("no Chromium here; installing Debian's package chromium, which may take some minutes")
        _runs([*_APT, "update"], DEBIAN_SECONDS)  # an old list names packages that are there no more
        if _runs([*_APT, "install", "-y", "--no-install-recommends", "chromium"], DEBIAN_SECONDS):
            return
        _say("Debian's package could not be installed")
    _say("no Chromium here; asking Playwright for one, which may take some minutes")
    if not _runs([sys.executable, "-m", "playwright", "install", "chromium"], PLAYWRIGHT_SECONDS):
        _say("Playwright could not get one")


def _runs(command: Sequence[str], seconds: float) -> bool:
    """Whether a command ends well in time; its last words are shown where it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        _say(f"{' '.join(command)} took longer than {seconds:.0f} s and was ended")
        return False
    if done.returncode:
        _say((done.stdout + done.stderr).strip()[-400:])
    return done.returncode == 0


def _say(sentence: str) -> None:
    sys.stderr.write(f"browser: {sentence}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Find or install; returns the exit status."""
    named = arguments[0] if arguments else ""
    try:
        if find_browser(named) is not None:
            return 0
    except FileNotFoundError as error:
        _say(str(error))
        return 1
    install()
    if find_browser() is not None:
        return 0
    _say("there is none: the page's tests are skipped (and fail where CI=true); install chromium or set TPLUS_BROWSER")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
