"""The newest migration, as a constant: the API compares it without loading Alembic."""

HEAD = "1012"

FIRST = "1001"
"""First migration of this set; earlier numbers are of development versions."""


def is_development(found: str | None) -> bool:
    """Return whether a migration is of a development version, from which there is no upgrade."""
    return found is not None and found < FIRST


def revision_problem(url: str, found: str | None) -> str:
    """Return a message for a database at another migration, with what to do.

    Args:
        url: URL of the database without its password; empty = it is not named.
        found: Its migration; None = it has no tables.
    """
    name = f"the database {url}".rstrip()
    if is_development(found):
        return (
            f"{name} was made by an earlier development version (migration {found}) and cannot be "
            "upgraded; start a new database: move the file away, or set TPLUS_DATABASE_URL to another one"
        )
    if found is not None and found > HEAD:
        return (
            f"{name} is at migration {found}, this version knows up to {HEAD}; "
            "install the newer Tplus again, or use another database"
        )
    state = f"is at migration {found}" if found else "has no tables yet"
    return f"{name} {state}, this version needs {HEAD}; run `tplus db upgrade` or `tplus up`"
