"""Reads a Dockerfile and its .dockerignore as far as tests need it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined.

    Attributes:
        word: FROM, COPY, RUN and so on.
        text: The rest of it.
    """

    word: str
    text: str


@dataclass
class Stage:
    """One stage of a build.

    Attributes:
        name: Its name.
        base: Its base image or stage.
        instructions: Its instructions, in order.
    """

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        """Return the texts of one kind of instruction."""
        return [each.text for each in self.instructions if each.word == word]


def instructions(text: str) -> Iterator[Instruction]:
    """Return the instructions of a Dockerfile in order, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield Instruction(word.upper(), " ".join(rest.split()))


def stages(text: str) -> dict[str, Stage]:
    """Return the stages by name, in order."""
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for each in instructions(text):
        if each.word == "FROM":
            base, _, name = each.text.partition(" AS ")
            current = found[name] = Stage(name, base)
        elif current is not None:
            current.instructions.append(each)
    return found


def copied(stage: Stage) -> list[tuple[list[str], str]]:
    """Return sources and destination of every COPY from the build context."""
    found = []
    for text in stage.of("COPY"):
        words = shlex.split(text)
        if not any(word.startswith("--from") for word in words):
            *sources, destination = [word for word in words if not word.startswith("--")]
            found.append((sources, destination))
    return found


def ignored(path: str, rules: str) -> bool:
    """Return whether a .dockerignore excludes a path; the last rule that matches it or a parent folder decides."""
    parts = Path(path).parts
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    out = False
    for rule in rules.splitlines():
        pattern = rule.strip().lstrip("!").rstrip("/")
        if not pattern or pattern.startswith("#"):
            continue
        anywhere = pattern.startswith("**/")
        names = parts if anywhere else above
        if any(fnmatch(name, pattern.removeprefix("**/")) for name in names):
            out = not rule.strip().startswith("!")
    return out
