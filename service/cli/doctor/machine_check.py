"""The machine: folders that must be writable, and free space."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from service.cli.doctor.findings import Finding, error, ok, warning
from service.settings import Settings

LOW_BYTES = 2 * 2**30
"""Free space below which the disk is a warning."""
FULL_BYTES = 200 * 2**20
"""Free space below which the disk is an error."""


def check_folder(settings: Settings) -> Iterator[Finding]:
    """Yield whether files can be written into the data folder, or whether it can be created."""
    folder = settings.data_dir.absolute()
    existing = _existing(folder)
    if existing != folder:
        if os.access(existing, os.W_OK | os.X_OK):
            yield ok("folder", f"the data folder {folder} does not exist yet and can be created")
        else:
            yield error("folder", f"the data folder {folder} cannot be created in {existing}; set TPLUS_DATA_DIR")
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"tplus")
            file.flush()
    except OSError as fault:
        yield error(
            "folder",
            f"the data folder {folder} cannot be written ({fault.strerror}); give it to this user (id {os.geteuid()}) "
            "or set TPLUS_DATA_DIR",
        )
    else:
        yield ok("folder", f"the data folder {folder} can be written")


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Yield the free space of the disk that holds the data folder."""
    folder = _existing(settings.data_dir.absolute())
    usage = shutil.disk_usage(folder)
    message = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.0f} GiB are free at {folder}"
    if usage.free < FULL_BYTES:
        yield error("disk", f"{message}; free space, or set TPLUS_DATA_DIR to another disk")
    elif usage.free < LOW_BYTES:
        yield warning("disk", f"{message}; free space soon")
    else:
        yield ok("disk", message)


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
