"""`tplus ledger`: shows the heads of the hash chains, verifies the chains, and exports them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from service.cli.common import JsonFlag, echo, emit
from service.clock import DatabaseClock
from service.db.migrate import require_head
from service.db.revision import HEAD
from service.db.session import Database, display_url
from service.db.tables import stamp
from service.errors import DatabaseError, LedgerError
from service.hash_chains.export import verify_export, write_export
from service.hash_chains.head_file import read_known_heads
from service.hash_chains.links import Chain, read_heads
from service.hash_chains.verify import Report, verify_database
from service.settings import load_settings

app = typer.Typer(name="ledger", help="Verify the ledger: heads, verify, export.", no_args_is_help=True)


@app.command("heads")
def heads(as_json: JsonFlag = False) -> None:
    """Show number and hash of the newest edition and score batch; keep them elsewhere."""
    with _reading() as connection:
        found = read_heads(connection)
    if as_json:
        emit(found.document())
        return
    for chain in Chain:
        echo(f"{chain.value} {found.of(chain).number}  {found.of(chain).hash}")


@app.command("verify")
def verify(
    known: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="FILE|HASH", help="A file of heads, or a hash, recorded elsewhere. Repeatable."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Verify an export, without a database.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recompute every hash of both chains, and compare with recorded heads; exits 1 on a fault.

    Without --head a chain that was cut short, or rewritten with new hashes, looks complete.
    """
    heads_known, contradictions = read_known_heads(known or [])
    if export is not None:
        report = verify_export(export, heads_known)
    else:
        with _reading() as connection:
            report = verify_database(connection, heads_known)
    for sentence in contradictions:
        report.add(sentence)
    if as_json:
        emit(report.document())
    else:
        echo(_summary(report, compared=bool(known)))
    if report.fault_count:
        raise LedgerError("; ".join(report.sentences()))


@app.command("export")
def export_ledger(
    file: Annotated[Path, typer.Argument(help="File to write, JSON lines; see docs/ledger.md.")],
    as_json: JsonFlag = False,
) -> None:
    """Write both chains to a file that `tplus ledger verify --export` checks without a database."""
    with _reading() as connection:
        row = connection.execute(stamp.select()).one_or_none()
        at = DatabaseClock().now(connection).isoformat(timespec="seconds").replace("+00:00", "Z")
        facts = {
            "migration": HEAD,
            "source": None if row is None else row.source.partition(":")[0],  # a folder is private
            "clock": None if row is None else row.clock_mode,
            "exported_at": at,
        }
        count = write_export(connection, file, facts)
        found = read_heads(connection)
    if as_json:
        emit({"file": str(file), "links": count, "heads": found.document()})
        return
    echo(f"{file}: editions 1 to {found.editions.number}, score batches 1 to {found.score_batches.number}")


@contextmanager
def _reading() -> Iterator[Connection]:
    """Open a snapshot of the settings' database, which is neither created nor migrated."""
    settings = load_settings()
    url = make_url(settings.url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise DatabaseError(f"there is no database {settings.url}; check TPLUS_DATA_DIR and TPLUS_DATABASE_URL")
    database = Database(settings.url)
    try:
        with database.reading() as connection:
            require_head(connection, display_url(database))
            yield connection
    finally:
        database.close()


def _summary(report: Report, *, compared: bool) -> str:
    links, rows = report.links, report.rows
    found = (
        f"{links[Chain.EDITIONS]} editions with {rows[Chain.EDITIONS]} forecasts and {links[Chain.SCORE_BATCHES]} "
        f"score batches with {rows[Chain.SCORE_BATCHES]} scores were recomputed: "
    )
    if report.fault_count:
        return f"{found}{report.fault_count} faults"
    end = "the recorded heads are among them" if compared else "compare their heads with recorded ones, see --head"
    return f"{found}all match their hashes, none is missing; {end}"
