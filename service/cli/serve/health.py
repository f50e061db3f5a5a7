"""`tplus health`: a sentence and an exit status for health checks of containers and supervisors."""

import http.client
import json
import socket
import sys

import typer
from sqlalchemy.exc import SQLAlchemyError

from service.clock import DatabaseClock
from service.db.session import Database, display_url
from service.errors import DatabaseError, NotYet, SettingsError, TplusError
from service.execution.ray.node import own_address
from service.scheduler.liveness import heartbeat_age
from service.settings import Settings, load_settings

API_SECONDS = 4.0
"""Time limit for the API's answer."""
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Addresses of every interface, and the address for a request to such a server."""

app = typer.Typer(
    name="health", help="Check a part of the service: exits 0 if it is healthy, else 1.", no_args_is_help=True
)


@app.command("scheduler")
def scheduler(
    anywhere: bool = typer.Option(False, "--anywhere", help="Accept a scheduler of any host."),
) -> None:
    """Check that the heartbeat of this host's scheduler is younger than its lease."""
    settings = load_settings()
    host = None if anywhere else socket.gethostname()
    where = "any host" if host is None else f"this host ({host})"
    age = _heartbeat_age(settings, host)
    if age is None:
        raise NotYet(f"no scheduler of {where} has ever used this database; start one with `tplus schedule`")
    if age > settings.lease_seconds:
        raise TplusError(
            f"the newest heartbeat of a scheduler of {where} is {age:.0f} s old, older than its lease of "
            f"{settings.lease_seconds} s; see its log, or restart it"
        )
    _echo(f"heartbeat of a scheduler of {where} {max(age, 0):.0f} s ago")


@app.command("api")
def api() -> None:
    """Check that the API of this host is ready."""
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
    _echo(f"{where} is ready")


def _echo(sentence: str) -> None:
    # Not `echo` of the other commands: its module loads the whole service, and a check runs every few seconds.
    sys.stdout.write(sentence + "\n")


@app.command("ray")
def ray() -> None:
    """Check that the head of the Ray cluster that TPLUS_EXECUTOR names accepts connections."""
    address = load_settings().ray_address
    if address is None:
        raise SettingsError("TPLUS_EXECUTOR=local names no cluster; set it to ray:HOST:PORT, the address of the head")
    try:
        own_address(address, API_SECONDS)
    except OSError as error:
        raise TplusError(
            f"the head of the cluster at {address} does not answer ({error}); start it with `tplus ray-node --head` or "
            "see its log"
        ) from error
    _echo(f"the head of the cluster at {address} accepts connections")


def _heartbeat_age(settings: Settings, host: str | None) -> float | None:
    """Return the seconds since the newest heartbeat, None if there is none."""
    database = Database(settings.url, settings.lease_seconds)
    try:
        with database.reading() as connection:
            age = heartbeat_age(connection, DatabaseClock().now(connection), host)
    except SQLAlchemyError as error:
        raise DatabaseError(
            f"the heartbeats in the database {display_url(database)} cannot be read; start it, check "
            "TPLUS_DATABASE_URL, "
            "or run `tplus db upgrade`"
        ) from error
    finally:
        database.close()
    return None if age is None else age.total_seconds()


def _detail(body: bytes) -> str:
    """Return the message of a problem document; empty for another body."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get("detail", "")) if isinstance(document, dict) else ""
