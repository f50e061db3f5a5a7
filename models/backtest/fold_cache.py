"""One finished (fold, forecaster) on disk: written whole or not at all, found again by what determines it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import models
from models.backtest.protocols import ForecastHistory
from models.data_hash import panel_hash
from models.forecaster import SkippedSymbol
from models.preprocessing.frame import Panel

FORMAT = 2
"""Raised with every change of what a piece holds or of how forecasts are made."""

LIBRARIES = ("numpy", "keras", "tensorflow", "arch")
"""Whose versions determine forecasts."""

_COLUMNS = ("symbol_index", "as_of", "final_at", "target_final_at", "sigma", "raw", "actual")
_INSTANTS = {"as_of": "datetime64[D]", "final_at": "datetime64[s]", "target_final_at": "datetime64[s]"}


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What became of one forecaster in one fold.

    Attributes:
        history: Its forecasts; None where it has none.
        reason: Why it has none, one sentence; None where it has.
    """

    history: ForecastHistory | None
    reason: str | None = None


def digest_of(identity: Mapping[str, Any]) -> str:
    """SHA-256 over the sorted JSON form of everything that determines a piece.

    Args:
        identity: JSON-able.
    """
    text = json.dumps({"format": FORMAT, **identity}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def made_of(panel: Panel) -> str:
    """Hash of what every piece depends on beside its fold and forecaster: the panel, this code and its libraries.

    Args:
        panel: Whole frames and references; every session counts.
    """
    root = Path(models.__file__).parent
    digest = hashlib.sha256(panel_hash(panel, np.datetime64("9999-01-01T00:00:00")).encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    for name in LIBRARIES:
        digest.update(f"{name} {_version(name)}".encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def write_fold_result(path: Path, result: FoldResult) -> None:
    """Write a piece so that its name exists only once all of it is on disk.

    Args:
        path: File to make, `.npz`; its folder must exist.
        piece: What to write.
    """
    history = result.history
    head: dict[str, Any] = {"reason": result.reason, "facts": {}, "refusals": [], "seeds": []}
    arrays: dict[str, Any] = {}
    if history is not None:
        head["facts"] = dict(history.facts)
        head["refusals"] = [[refusal.symbol, refusal.reason] for refusal in history.refusals]
        head["seeds"] = list(history.seeds)
        for name in _COLUMNS:
            column = getattr(history, name)
            arrays[name] = column.astype(_INSTANTS[name]).astype(np.int64) if name in _INSTANTS else column
        arrays |= {f"seed_{seed}": raw for seed, raw in history.seeds.items()}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_fold_result(path: Path) -> FoldResult | None:
    """Read a piece; None where there is none, or where the file is damaged and must be made again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        head = json.loads(arrays.pop("head").tobytes())
    except FileNotFoundError:
        return None
    except (BadZipFile, ValueError, KeyError, EOFError):
        return None
    if head["reason"] is not None:
        return FoldResult(None, str(head["reason"]))
    columns: dict[str, Any] = {
        name: arrays[name].astype(_INSTANTS[name]) if name in _INSTANTS else arrays[name] for name in _COLUMNS
    }
    history = ForecastHistory(
        **columns,
        facts=head["facts"],
        seeds={int(seed): arrays[f"seed_{seed}"] for seed in head["seeds"]},
        refusals=tuple(SkippedSymbol(symbol, reason) for symbol, reason in head["refusals"]),
    )
    return FoldResult(history)
