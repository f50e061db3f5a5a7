"""The newest migration, as a constant: the API compares it without loading the migration tool."""

HEAD = "0007"


def stands_elsewhere(url: str, found: str | None) -> str:
    """The sentence about a database that is not at this version's migration, and what to do.

    Args:
        url: The database as it may be shown.
        found: The migration it stands at; None = it has no tables.
    """
    if found is not None and found > HEAD:
        return (
            f"the database {url} is at migration {found}, this version knows up to {HEAD}; "
            "install the newer Tplus again, or use another database"
        )
    stands = f"is at migration {found}" if found else "has no tables yet"
    return f"the database {url} {stands}, this version needs {HEAD}; run `tplus db upgrade` or `tplus up`"
