"""Compare the ratios of this checkout's last benchmarks with the recorded ones: `make bench-compare`.

    python -m benchmarks.compare [--against COMMIT] [--worse SHARE]

`make bench` overwrites `benchmarks/results/`; the recorded ratios are those that git has. A ratio got worse if it
moved by more than the share in its bad direction. Exits with 1 if one did, and with 2 if there is nothing to compare.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.results import RESULTS

WORSE = 0.10
"""A smaller change is within the drift of one machine."""

Document = Mapping[str, Any]


def recorded(name: str, against: str) -> Document | None:
    """Return a results file as a commit has it, None if it has none.

    Args:
        name: File name in `benchmarks/results/`.
        against: Commit, as git spells it.
    """
    git = ["git", "-C", str(RESULTS), "show", f"{against}:./{name}"]
    shown = subprocess.run(git, capture_output=True, text=True)
    return json.loads(shown.stdout) if shown.returncode == 0 else None


def worse(before: Document, after: Document, share: float) -> list[str]:
    """Return a line for each ratio that got worse by more than a share.

    Args:
        before: The recorded document of a benchmark.
        after: Its document of now.
        share: 0.1 = a tenth of the recorded ratio.
    """
    lines = []
    for name, old in before["ratios"].items():
        new = after["ratios"].get(name)
        if new is None:
            lines.append(f"{after['benchmark']}: {name}: no longer measured (was {old['value']:g})")
            continue
        change = (new["value"] - old["value"]) / abs(old["value"]) if old["value"] else 0.0
        bad = -change if new["better"] == "higher" else change if new["better"] == "lower" else abs(change)
        if bad > share:
            lines.append(f"{after['benchmark']}: {name}: {old['value']:g} -> {new['value']:g} ({change:+.0%})")
    return lines


def main(arguments: list[str]) -> int:
    """Print the ratios that got worse and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", default="HEAD", help="commit whose results are the recorded ones")
    parser.add_argument("--worse", type=float, default=WORSE, help="share by which a ratio may get worse")
    chosen = parser.parse_args(arguments)
    compared, lines = 0, []
    for path in sorted(RESULTS.glob("*.json")):
        before = recorded(path.name, chosen.against)
        if before is None:
            print(f"{path.stem}: {chosen.against} has no results of it")
            continue
        after = json.loads(path.read_text())
        compared += len(before["ratios"])
        if after["machine"] != before["machine"]:
            print(f"{path.stem}: recorded on another machine ({before['machine']['processor']})")
        lines += worse(before, after, chosen.worse)
    if not compared:
        print(
            f"nothing to compare with {chosen.against}; run make bench and commit benchmarks/results", file=sys.stderr
        )
        return 2
    print("\n".join(lines) or f"none of {compared} ratios got worse by more than {chosen.worse:.0%}")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
