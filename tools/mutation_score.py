"""Run mutmut and print how many mutants the tests kill in each module.

    .venv/bin/python -m tools.mutation_score

`[tool.mutmut]` in pyproject.toml names the modules and their tests. The exit status is 1 if a module's score is
below `MIN_SCORE`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "mutants"
"""Where mutmut keeps its copy of the source and its results."""

MIN_SCORE = 0.85
"""Share of a module's mutants that its tests must kill."""

KILLED = frozenset({1, 3, 36, 24, -24, 152})
"""Exit codes of mutmut's workers for a killed mutant: a test failed, pytest broke, or the time ran out.

Code 255 is not among them: mutmut counts it as a timeout, but a worker that cannot start ends with it too.
"""


@dataclass(frozen=True, slots=True)
class ModuleScore:
    """The mutants of one module.

    Attributes:
        path: The module's file, relative to the root.
        killed: Number of mutants that a test failed on.
        survivors: Names of the others, including those that no test reaches.
    """

    path: str
    killed: int
    survivors: tuple[str, ...]

    @property
    def total(self) -> int:
        """Number of mutants."""
        return self.killed + len(self.survivors)

    @property
    def score(self) -> float:
        """Share of the mutants that were killed; 0 without mutants."""
        return self.killed / self.total if self.total else 0.0


def module_score(path: str, exit_codes: Mapping[str, int | None]) -> ModuleScore:
    """Count the mutants of a module; `exit_codes` has one code for each mutant, None if it did not run."""
    survivors = tuple(name for name, code in exit_codes.items() if code not in KILLED)
    return ModuleScore(path, len(exit_codes) - len(survivors), survivors)


def read_scores(folder: Path) -> list[ModuleScore]:
    """Read the results that mutmut left in a folder, by path; files without mutants are left out."""
    found = []
    for file in sorted(folder.rglob("*.py.meta")):
        codes = json.loads(file.read_text())["exit_code_by_key"]
        if codes:
            found.append(module_score(str(file.relative_to(folder)).removesuffix(".meta"), codes))
    return found


def report(scores: list[ModuleScore]) -> str:
    """Return the survivors' names, then a line for each module and one for all of them."""
    lines = [f"survived: {name}" for score in scores for name in score.survivors]
    whole = ModuleScore(
        "all", sum(module.killed for module in scores), tuple(n for module in scores for n in module.survivors)
    )
    lines += [
        f"{module.path:45} {module.killed:5} of {module.total:5} killed {module.score:7.1%}"
        for module in [*scores, whole]
    ]
    return "\n".join(lines)


def main() -> int:
    """Run all mutants from the start; returns the exit status."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    mutmut = Path(sys.executable).with_name("mutmut")  # `python -m mutmut` would import its main module twice
    command = [str(mutmut), "run", "--max-children", str(os.cpu_count() or 1)]
    subprocess.run(command, cwd=ROOT, check=True)
    scores = read_scores(FOLDER)
    sys.stdout.write(report(scores) + "\n")
    low = [score.path for score in scores if score.score < MIN_SCORE]
    if low or not scores:
        sys.stderr.write(f"below {MIN_SCORE:.0%}: {', '.join(low) or 'no mutants'}; see docs/mutation-testing.md\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
