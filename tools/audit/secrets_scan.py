"""Searches the tracked files for secrets: keys, tokens, passwords in addresses.

A line with `audit: planted` is skipped: tests plant keys to show that they never reach a log.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

PLANTED = "audit: planted"
LARGEST = 2_000_000
"""Bytes; larger files are data."""

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY")),
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a token of GitHub", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})")),
    ("a token of GitLab", re.compile(r"\bglpat-[A-Za-z0-9_-]{20}")),
    ("a token of Slack", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/")),
    ("a key of a vendor", re.compile(r"\b[srp]k[-_](?:live|proj|ant)[-_][A-Za-z0-9_-]{20,}|\bAIza[A-Za-z0-9_-]{35}\b")),
    ("a token of a package index", re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{15,}")),
    ("a signing secret", re.compile(r"\bwhsec_[A-Za-z0-9+/]{24,}")),
    ("an API key of Tplus", re.compile(r"\btplus_[A-Za-z0-9_-]{40,}")),
    ("a password in an address", re.compile(
        r"\b[a-z][a-z0-9+]*://[^\s/:@'\"{}<>$]+:(?=[^@\s'\"]*[0-9])(?=[^@\s'\"]*[A-Za-z])[^@\s'\"{}<>$*]{10,}@")),
    ("a password", re.compile(
        r"(?i)\b(?:password|passwd|secret|api_?key|token)\b['\"]?\s*[:=]\s*['\"](?=[^'\"]*[0-9])(?=[^'\"]*[A-Za-z])"
        r"[A-Za-z0-9+/=_-]{20,}['\"]")),
)  # fmt: skip


def scan(root: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each line that looks like a secret; the secret itself is not repeated.

    Args:
        root: Folder of the files.
        names: Their names below it.
    """
    for name in names:
        path = root / name
        if not path.is_file() or path.is_symlink() or path.stat().st_size > LARGEST:
            continue
        body = path.read_bytes()
        if b"\0" in body[:8192]:
            continue
        for number, line in enumerate(body.decode(errors="replace").splitlines(), start=1):
            if PLANTED in line:
                continue
            for what, pattern in _PATTERNS:
                if pattern.search(line):
                    yield f"{name}:{number}: looks like {what}"


def tracked_files(root: Path) -> list[str]:
    """Return the names of the files that git tracks.

    Raises:
        OSError: git is not installed.
        subprocess.CalledProcessError: the folder is not a repository.
    """
    done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True)
    return [name for name in done.stdout.decode().split("\0") if name]
