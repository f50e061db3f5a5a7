"""The guards that make the ledger's tables append-only, on both databases."""

from collections.abc import Sequence

from alembic import op


def forbid_changes(table: str, whole: str = "the ledger") -> None:
    """Refuse every UPDATE and DELETE of a table's rows.

    Args:
        table: The table.
        whole: What the table is a part of, for the message.
    """
    message = f"{whole} is append-only: {table}"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{message}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
    )


def allow_changes(table: str) -> None:
    """Take the guards away, before the table is dropped."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
        return
    op.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
    op.execute(f"DROP FUNCTION IF EXISTS {table}_append_only()")


def forbid_replacement(table: str, keys: Sequence[Sequence[str]], whole: str = "the ledger") -> None:
    """Refuse SQLite's INSERT OR REPLACE of a stored row, and PostgreSQL's TRUNCATE.

    SQLite runs no DELETE trigger for a replaced row unless the connection sets recursive_triggers, which the one who
    rewrites rows does not set.

    Args:
        table: A table with the guards of `forbid_changes`.
        keys: Its unique keys.
        whole: What the table is a part of, for the message.
    """
    if op.get_bind().dialect.name != "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
        )
        return
    exists = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {_same(key)})"  # noqa: S608 - names of the migration, no input
        for key in keys
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {exists} "
        f"BEGIN SELECT RAISE(ABORT, '{whole} is append-only: {table}'); END"
    )


def _same(key: Sequence[str]) -> str:
    return " AND ".join(f"{name} = NEW.{name}" for name in key)


def allow_replacement(table: str) -> None:
    """Take the guards of `forbid_replacement` away."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER IF EXISTS {table}_no_replace")
        return
    op.execute(f"DROP TRIGGER IF EXISTS {table}_no_truncate ON {table}")


def check_bars_by_statement() -> None:
    """Let PostgreSQL look a bar's symbol up once for each statement instead of once for each row.

    The foreign key's own check runs for every row, and took more than half of what the server computes for an ingest.
    These triggers refuse the same: a bar of an unknown symbol, and the end of a symbol that has bars. The instruments
    are locked as the foreign key locks them, so that none can go away before the bars are committed.
    """
    if op.get_bind().dialect.name == "sqlite":
        return
    op.drop_constraint("fk_bars_symbol_instruments", "bars", type_="foreignkey")
    op.execute(
        "CREATE FUNCTION bars_symbol_known() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE unknown text; BEGIN "
        "PERFORM 1 FROM instruments i WHERE i.symbol IN (SELECT DISTINCT symbol FROM added) FOR KEY SHARE; "
        "SELECT a.symbol INTO unknown FROM (SELECT DISTINCT symbol FROM added) a "
        "WHERE NOT EXISTS (SELECT 1 FROM instruments i WHERE i.symbol = a.symbol) LIMIT 1; "
        "IF FOUND THEN RAISE EXCEPTION 'a bar of % has no instrument', unknown USING ERRCODE = '23503'; END IF; "
        "RETURN NULL; END $$"
    )
    for verb in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER bars_symbol_known_{verb.lower()} AFTER {verb} ON bars REFERENCING NEW TABLE AS added "
            "FOR EACH STATEMENT EXECUTE FUNCTION bars_symbol_known()"
        )
    op.execute(
        "CREATE FUNCTION instruments_keep_bars() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM bars b WHERE b.symbol = OLD.symbol) THEN "
        "RAISE EXCEPTION 'the instrument % has bars', OLD.symbol USING ERRCODE = '23503'; END IF; "
        "RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER instruments_keep_bars AFTER DELETE OR UPDATE OF symbol ON instruments "
        "FOR EACH ROW EXECUTE FUNCTION instruments_keep_bars()"
    )


def check_bars_by_row() -> None:
    """The foreign key again, and the triggers gone."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute("DROP TRIGGER IF EXISTS instruments_keep_bars ON instruments")
    op.execute("DROP FUNCTION IF EXISTS instruments_keep_bars()")
    for verb in ("insert", "update"):
        op.execute(f"DROP TRIGGER IF EXISTS bars_symbol_known_{verb} ON bars")
    op.execute("DROP FUNCTION IF EXISTS bars_symbol_known()")
    op.create_foreign_key("fk_bars_symbol_instruments", "bars", "instruments", ["symbol"], ["symbol"])
