"""Findings of `tplus doctor`: one line each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from service.log_config import mask_secrets


class Level(StrEnum):
    """How serious a finding is; only an error makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes:
        check: Name of the check.
        level: How serious it is.
        message: One sentence; of a warning or an error with what to do.
    """

    check: str
    level: Level
    message: str

    @property
    def line(self) -> str:
        """The finding as one line of text."""
        return f"{self.level:<8} {self.check:<12} {self.message}"


def ok(check: str, message: str) -> Finding:
    """Return a finding that needs nothing."""
    return _finding(check, Level.OK, message)


def warning(check: str, message: str) -> Finding:
    """Return a finding to look at."""
    return _finding(check, Level.WARNING, message)


def error(check: str, message: str) -> Finding:
    """Return a finding that keeps the service from working."""
    return _finding(check, Level.ERROR, message)


def _finding(check: str, level: Level, message: str) -> Finding:
    return Finding(check, level, mask_secrets(" ".join(message.split())))


def examine(check: str, examination: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; a check that fails is an error, and the others still run."""
    try:
        yield from examination()
    except Exception as fault:
        yield error(check, f"this check failed ({type(fault).__name__}: {fault}); report it with this line")
