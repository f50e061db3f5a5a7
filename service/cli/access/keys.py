"""`tplus keys`: creates, lists, revokes and rotates the keys of the API."""

import sys
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from service import audit
from service.access import keys
from service.access.keys import ApiKey, NewKey
from service.audit import AuditEntry
from service.cli.access.durations import end_of, parse_duration, parse_end
from service.cli.common import JsonFlag, echo, emit, parse_names, service
from service.errors import TplusError
from service.vocabulary import Scope

app = typer.Typer(name="keys", help="Manage the keys of the API: create, list, revoke, rotate.", no_args_is_help=True)


def _parse_scopes(text: str) -> frozenset[Scope]:
    names = parse_names(text)
    unknown = [name for name in names if name not in list(Scope)]
    if unknown or not names:
        given = f"{unknown[0][:60]!r} is not a scope" if unknown else "there is no scope"
        raise typer.BadParameter(f"{given}; name some of read,run,admin, separated by commas")
    return frozenset(Scope(name) for name in names)


_Name = Annotated[str, typer.Argument(help="What uses the key: at most 60 letters, digits and ._-, a letter first.")]
_Expires = Annotated[
    Any,
    typer.Option(
        "--expires", parser=parse_end, metavar="90d|DATE", help="When it ends: a duration, or the start of a date, UTC."
    ),
]


@app.command("create")
def create(
    name: _Name,
    scopes: Annotated[
        Any, typer.Option("--scopes", parser=_parse_scopes, metavar="SCOPES", help="Some of read,run,admin.")
    ] = "read",
    expires: _Expires = None,
    as_json: JsonFlag = False,
) -> None:
    """Create a key and print it alone on standard output; it cannot be read again."""
    keys.check_name(name)
    with service(quiet=True) as context, context.database.transaction() as connection:
        keys.lock_keys(connection)
        now = context.machine.now(connection)
        if keys.valid_keys(connection, now, name):
            raise TplusError(
                f"there is a valid key named {name} already; replace it with `tplus keys rotate {name}`, or choose "
                "another name"
            )
        key, token = keys.create_key(connection, NewKey(name, scopes, end_of(expires, now)), now)
        audit.record(connection, AuditEntry("keys.create", name, _facts(key)), now)
    _print_new(key, token, now, as_json)


@app.command("list")
def show(
    show_all: Annotated[bool, typer.Option("--all", help="Include revoked and expired keys.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the keys, oldest first, without their tokens."""
    with service(quiet=True) as context, context.database.reading() as connection:
        now = context.machine.now(connection)
        found = [key for key in keys.list_keys(connection) if show_all or key.is_valid(now)]
    if as_json:
        emit({"keys": [_document(key, now) for key in found]})
        return
    if not found:
        echo("there is no valid key; make one with `tplus keys create NAME --scopes read`")
    for key in found:
        used = "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}Z"
        end = "no end" if key.expires_at is None else f"ends {key.expires_at:%Y-%m-%d %H:%M}Z"
        echo(f"{key.id:>5}  {key.name:<20} {_names(key):<15} {key.prefix}...  {key.state(now):<8} {end}, {used}")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="Id of a key, or name of its valid keys.")],
    as_json: JsonFlag = False,
) -> None:
    """Revoke a key: it is refused within a second, and so are its page sessions."""
    with service(quiet=True) as context, context.database.transaction() as connection:
        keys.lock_keys(connection)
        now = context.machine.now(connection)
        found = keys.find_keys(connection, key, now)
        revoked = [each for each in found if keys.revoke_key(connection, each.id, now)]
        for each in revoked:
            audit.record(connection, AuditEntry("keys.revoke", each.name, {"id": each.id}), now)
    if as_json:
        emit({"revoked": [each.id for each in revoked]})
        return
    for each in found:
        words = "revoked" if each in revoked else "was revoked before; nothing changed"
        echo(f"key {each.id} ({each.name}): {words}")


@app.command("rotate")
def rotate(
    name: Annotated[str, typer.Argument(help="Name of a valid key.")],
    overlap: Annotated[
        Any,
        typer.Option("--overlap", parser=parse_duration, metavar="24h", help="How long the old key is still accepted."),
    ] = "24h",
    expires: _Expires = None,
    as_json: JsonFlag = False,
) -> None:
    """Replace a key by a new one of the same name and scopes, and print the new one alone on standard output."""
    assert isinstance(overlap, timedelta)
    with service(quiet=True) as context, context.database.transaction() as connection:
        now = context.machine.now(connection)
        key, token = keys.rotate_key(connection, name, overlap, end_of(expires, now), now)
        detail = {**_facts(key), "old_key_ends_at": (now + overlap).isoformat()}
        audit.record(connection, AuditEntry("keys.rotate", name, detail), now)
    _print_new(key, token, now, as_json)
    _say(f"the old key is accepted until {now + overlap:%Y-%m-%d %H:%M}Z, or its own end if that is earlier")


def _print_new(key: ApiKey, token: str, now: datetime, as_json: bool) -> None:
    """Print a token: alone on standard output, so that it can be piped into a file."""
    if as_json:
        emit({"key": token, **_document(key, now)})
        return
    echo(token)
    end = "does not expire" if key.expires_at is None else f"ends at {key.expires_at:%Y-%m-%d %H:%M}Z"
    _say(f"key {key.id} ({key.name}) permits {_names(key)} and {end}; store it now, it cannot be shown again")


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _names(key: ApiKey) -> str:
    return ",".join(scope for scope in Scope if scope in key.scopes)


def _facts(key: ApiKey) -> dict[str, Any]:
    """Return what the audit keeps of a new key."""
    end = None if key.expires_at is None else key.expires_at.isoformat()
    return {"id": key.id, "prefix": key.prefix, "scopes": sorted(key.scopes), "expires_at": end}


def _document(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": [scope for scope in Scope if scope in key.scopes],
        "state": key.state(now),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
