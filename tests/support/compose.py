"""Reads compose files as an engine does: with variables and overrides, durations and sizes as numbers."""

import re
from typing import Any

import yaml

from tests.support.paths import ROOT

Document = dict[str, Any]

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_UNITS = {"h": 3600, "m": 60, "s": 1}
_SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}


def variables(name: str) -> dict[str, str | None]:
    """Return the variables of a file and their defaults, None without a default."""
    return {found["name"]: found["default"] for found in _VARIABLE.finditer((ROOT / name).read_text())}


def read(*names: str) -> Document:
    """Return the merged files, later ones first in precedence, every variable at its default."""
    document: Document = {}
    for name in names:
        document = laid_over(document, _filled(yaml.safe_load((ROOT / name).read_text())))
    for service in document.get("services", {}).values():
        given = service.get("environment", {})
        service["environment"] = {key: value for key, value in given.items() if value is not None}
    return document


def handed_on(name: str) -> set[str]:
    """Return the variables that a service of a file gets from the shell or `.env`."""
    services = yaml.safe_load((ROOT / name).read_text())["services"].values()
    pairs = [pair for service in services for pair in service.get("environment", {}).items()]
    return {key for key, value in pairs if value is None or f"${{{key}:-" in str(value)}


def _filled(value: Any) -> Any:
    """Replace variables after parsing, as engines do: an empty one is an empty text and not null."""
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each) for each in value]
    return _VARIABLE.sub(lambda found: found["default"] or "", value) if isinstance(value, str) else value


def laid_over(under: Document, over: Document) -> Document:
    """Merge mappings; replace everything else."""
    joined = dict(under)
    for key, value in over.items():
        before = joined.get(key)
        joined[key] = laid_over(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return joined


def seconds(span: str) -> int:
    """Return a duration such as `1m30s` in seconds."""
    parts = re.findall(r"(\d+)([hms])", span)
    assert "".join(number + unit for number, unit in parts) == span, f"{span!r} is not a duration"
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def size(text: str) -> int:
    """Return a size such as `512m` in bytes."""
    return int(text[:-1]) * _SIZES[text[-1]]


def in_memory(service: Document) -> dict[str, dict[str, str]]:
    """Return the options of a service's tmpfs mounts: `/run:mode=0700` is `{"/run": {"mode": "0700"}}`."""
    entries = [entry.partition(":") for entry in service.get("tmpfs", ())]
    pairs = {
        folder: [option.partition("=") for option in options.split(",") if option] for folder, _, options in entries
    }
    return {folder: {name: value for name, _, value in listed} for folder, listed in pairs.items()}


def order(services: Document) -> list[str]:
    """Return the services in the order of their dependencies."""
    done: list[str] = []
    while len(done) < len(services):
        ready = [
            name
            for name, service in services.items()
            if name not in done and set(service.get("depends_on", ())) <= set(done)
        ]
        assert ready, "the services wait for each other in a circle"
        done += ready
    return done
