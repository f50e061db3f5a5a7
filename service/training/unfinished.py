"""Removes artifact folders that a killed worker left unfinished."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from models.forecasting.artifact import UNFINISHED

KEPT = timedelta(hours=1)
"""Age up to which a worker may still be writing one: it takes seconds."""


def remove_unfinished(store: Path, machine_now: datetime) -> int:
    """Remove the unfinished folders of a store and return their number.

    No row refers to one: a folder gets its name when it is complete.

    Args:
        store: The folder that holds artifacts; may be missing.
        machine_now: Aware UTC machine time.
    """
    removed = 0
    for folder in store.glob(f"{UNFINISHED}*"):
        try:
            age = machine_now.timestamp() - folder.stat().st_mtime
        except FileNotFoundError:  # finished meanwhile
            continue
        if age > KEPT.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
