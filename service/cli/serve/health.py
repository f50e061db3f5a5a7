"""`tplus health`: one sentence and an exit status, for the health checks of containers and supervisors."""

import http.client
import json
import socket
import sys

import typer
from sqlalchemy.exc import SQLAlchemyError

from service.clock import DatabaseClock
from service.db.session import Database
from service.errors import DatabaseError, NotYet, TplusError
from service.scheduler.liveness import silence
from service.settings import Settings, load_settings

API_SECONDS = 4.0
"""How long the API may take to answer that it is ready."""
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Addresses that mean every interface, and where to ask a server that listens on them."""

app = typer.Typer(name="health", help="Exit 0 where a part of the service is well, 1 where not.", no_args_is_help=True)


@app.command("scheduler")
def scheduler(
    anywhere: bool = typer.Option(False, "--anywhere", help="Any host's scheduler will do, not only this one's."),
) -> None:
    """Whether this host's scheduler has said within its lease that it lives."""
    settings = load_settings()
    host = None if anywhere else socket.gethostname()
    where = "any host" if host is None else f"this host ({host})"
    silent = _silence(settings, host)
    if silent is None:
        raise NotYet(f"no scheduler of {where} has ever worked on this database; start one with `tplus schedule`")
    if silent > settings.lease_seconds:
        raise TplusError(
            f"the newest sign of life of a scheduler of {where} is {silent:.0f} s old, more than its lease of "
            f"{settings.lease_seconds} s; see its log, or start it again"
        )
    _say(f"a scheduler of {where} said {max(silent, 0):.0f} s ago that it lives")


@app.command("api")
def api() -> None:
    """Whether the API of this host answers that it is ready."""
    settings = load_settings()
    host = _LOOPBACK.get(settings.host, settings.host)
    where = f"the API on {host} port {settings.port}"
    connection = http.client.HTTPConnection(host, settings.port, timeout=API_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise TplusError(f"{where} does not answer ({error}); start it with `tplus serve` or see its log") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise TplusError(f"{where} is not ready: {_detail(body) or f'it answers {answer.status}'}")
    _say(f"{where} is ready")


def _say(sentence: str) -> None:
    # Not the other commands' `say`: its module loads the whole service, and a check runs every few seconds.
    sys.stdout.write(sentence + "\n")


def _silence(settings: Settings, host: str | None) -> float | None:
    """Seconds since the newest heartbeat, None where there is none."""
    database = Database(settings.url)
    try:
        with database.reading() as connection:
            silent = silence(connection, DatabaseClock().now(connection), host)
    except SQLAlchemyError as error:
        shown = database.engine.url.render_as_string(hide_password=True)
        raise DatabaseError(
            f"the heartbeats in the database {shown} cannot be read; start it, check TPLUS_DATABASE_URL, "
            "or run `tplus db upgrade`"
        ) from error
    finally:
        database.close()
    return None if silent is None else silent.total_seconds()


def _detail(body: bytes) -> str:
    """The sentence of a problem document; empty where the body is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("detail", "")) if isinstance(document, dict) else ""
