"""Makes an SQLite file at the newest migration, to be copied: migrating takes longer than most tests."""

from pathlib import Path

from service.db.migrate import upgrade
from service.db.session import Database


def make_template(folder: Path) -> Path:
    """Return a new file `template.db` in a folder, complete without its write-ahead log."""
    path = folder / "template.db"
    template = Database(f"sqlite:///{path}")
    upgrade(template)
    with template.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    template.close()
    return path
