"""Results of a (fold, forecaster) on disk: written atomically, found by a digest of what determines them."""

import hashlib
import io
import json
import os
import threading
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
from models.preprocessing.price_history import Panel

FORMAT = 2
"""Format number; raise it when the contents of a fold result or the way of forecasting change."""

LIBRARIES = ("numpy", "keras", "tensorflow", "arch")
"""Libraries whose versions determine forecasts."""

_COLUMNS = ("symbol_index", "as_of", "final_at", "target_final_at", "sigma", "raw", "actual")
_INSTANTS = {"as_of": "datetime64[D]", "final_at": "datetime64[s]", "target_final_at": "datetime64[s]"}


@dataclass(frozen=True, slots=True)
class FoldResult:
    """The result of one forecaster in one fold.

    Attributes:
        history: Its forecasts; None if there are none.
        reason: Why there are none, one sentence; None if there are forecasts.
    """

    history: ForecastHistory | None
    reason: str | None = None


def identity_digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the sorted JSON form of all that determines a fold result.

    Args:
        identity: JSON-serializable.
    """
    text = json.dumps({"format": FORMAT, **identity}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def inputs_digest(panel: Panel) -> str:
    """Return a hash of the inputs that all fold results share: the panel, this code and its libraries.

    Args:
        panel: Whole price histories and references; every session counts.
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
    """Write a fold result atomically: its name exists only after all of it is on disk.

    Args:
        path: File to create, `.npz`; its folder must exist.
        result: The result to write.
    """
    history = result.history
    header: dict[str, Any] = {"reason": result.reason, "facts": {}, "skipped": [], "seeds": []}
    arrays: dict[str, Any] = {}
    if history is not None:
        header["facts"] = dict(history.facts)
        header["skipped"] = [[skipped_symbol.symbol, skipped_symbol.reason] for skipped_symbol in history.skipped]
        header["seeds"] = list(history.seeds)
        for name in _COLUMNS:
            column = getattr(history, name)
            arrays[name] = column.astype(_INSTANTS[name]).astype(np.int64) if name in _INSTANTS else column
        arrays |= {f"seed_{seed}": raw for seed, raw in history.seeds.items()}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_fold_bytes(path, buffer.getvalue())


def write_fold_bytes(path: Path, body: bytes) -> None:
    """Write the bytes of a fold result atomically, as `write_fold_result` does."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.unfinished")
    with unfinished.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_fold_result(path: Path) -> FoldResult | None:
    """Read a fold result; return None if there is none, or if the file is damaged and must be made again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(arrays.pop("header").tobytes())
    except FileNotFoundError:
        return None
    except (BadZipFile, ValueError, KeyError, EOFError):
        return None
    if header["reason"] is not None:
        return FoldResult(None, str(header["reason"]))
    columns: dict[str, Any] = {
        name: arrays[name].astype(_INSTANTS[name]) if name in _INSTANTS else arrays[name] for name in _COLUMNS
    }
    history = ForecastHistory(
        **columns,
        facts=header["facts"],
        seeds={int(seed): arrays[f"seed_{seed}"] for seed in header["seeds"]},
        skipped=tuple(SkippedSymbol(symbol, reason) for symbol, reason in header["skipped"]),
    )
    return FoldResult(history)
