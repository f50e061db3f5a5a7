"""The state of the service: scheduler, runs, artifacts, keys, alerts."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, or_, select

from service.api.metrics.queries import read_delivery_counts
from service.api.status.queries import read_lasting_failure
from service.api.status.read_source_fault import read_source_fault
from service.cli.doctor.findings import Finding, error, ok, warning
from service.db.tables import api_keys, model_versions
from service.scheduler.liveness import heartbeat_age
from service.settings import Settings, is_loopback
from service.vocabulary import ModelStatus

_UNFINISHED = ".writing-"
"""Start of the names of folders that a training is still writing."""


def check_scheduler(connection: Connection, settings: Settings, machine_now: datetime) -> Iterator[Finding]:
    """Yield the age of the newest heartbeat."""
    age = heartbeat_age(connection, machine_now)
    if age is None:
        yield warning("scheduler", "none has ever used this database; start one with `tplus up` or `tplus schedule`")
        return
    seconds = age.total_seconds()
    if seconds > settings.lease_seconds:
        yield error(
            "scheduler",
            f"the newest heartbeat is {seconds:.0f} s old, older than the lease of {settings.lease_seconds} s; "
            "start one with `tplus schedule`, or see its log",
        )
    elif seconds < -settings.lease_seconds:
        yield warning(
            "scheduler",
            f"the newest heartbeat is {-seconds:.0f} s in the future: a clock was set back; "
            "synchronise the clocks (NTP)",
        )
    else:
        yield ok("scheduler", f"its newest heartbeat is {max(seconds, 0):.0f} s old")


def check_runs(connection: Connection) -> Iterator[Finding]:
    """Yield a failed run that no later one has made good, and prices that do not arrive."""
    fault = read_source_fault(connection)
    if fault is not None:
        yield warning("runs", f"{fault.sentence}; the pull is tried again")
    failed = read_lasting_failure(connection)
    if failed is not None:
        yield warning(
            "runs",
            f"run {failed.id} ({failed.job} {failed.scope} {failed.session}) failed: {failed.error}; "
            f"remove the cause, then run `tplus {failed.job}`",
        )
    if fault is None and failed is None:
        yield ok("runs", "none has failed without a later success")


def check_artifacts(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Yield model versions without a folder, and folders without a version."""
    store = settings.artifact_dir
    columns = (model_versions.c.id, model_versions.c.artifact, model_versions.c.status)
    rows = connection.execute(select(*columns).order_by(model_versions.c.id)).all()
    if rows and not store.is_dir():
        yield warning(
            "artifacts",
            f"the folder {store} with {len(rows)} model versions is not on this machine; "
            "expected where only the API runs, else set TPLUS_DATA_DIR to the scheduler's, or restore a backup",
        )
        return
    missing = [row for row in rows if not (store / row.artifact).is_dir()]
    serving = [str(row.id) for row in missing if row.status == ModelStatus.CHAMPION]
    if serving:
        yield error(
            "artifacts",
            f"the artifacts of the champions {', '.join(serving)} are missing in {store}; restore them from a backup",
        )
    if len(missing) > len(serving):
        yield warning(
            "artifacts",
            f"the artifacts of {len(missing) - len(serving)} other model versions are missing in {store}; "
            "they cannot be promoted, restore them from a backup",
        )
    unused = _folders(store) - {row.artifact for row in rows}
    if unused:
        names = ", ".join(sorted(unused)[:3])
        yield warning(
            "artifacts",
            f"{len(unused)} folders of {store} belong to no model version ({names}); "
            "remove them if no training is running",
        )
    if not missing and not unused:
        yield ok("artifacts", f"each of {len(rows)} model versions has its folder in {store}")


def _folders(store: Path) -> set[str]:
    if not store.is_dir():
        return set()
    return {path.name for path in store.iterdir() if path.is_dir() and not path.name.startswith(_UNFINISHED)}


def check_access(connection: Connection, settings: Settings, machine_now: datetime) -> Iterator[Finding]:
    """Yield whether others can reach the API without a key."""
    valid = (
        api_keys.c.revoked_at.is_(None),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > machine_now),
    )
    keys = int(connection.execute(select(func.count()).select_from(api_keys).where(*valid)).scalar_one())
    shown = f"the API listens on {settings.host} port {settings.port}, {keys} keys are valid"
    if is_loopback(settings.host):
        yield ok("access", f"{shown}; only this machine reaches it")
    elif settings.has_open_reads:
        yield warning(
            "access", f"{shown}; reads need none from any machine, unset TPLUS_OPEN_READS if that is not intended"
        )
    elif keys == 0:
        yield error("access", f"{shown}; create one with `tplus keys create NAME`, or set TPLUS_HOST=127.0.0.1")
    else:
        yield ok("access", shown)
    if settings.metrics_port is not None and not is_loopback(settings.metrics_host):
        where = f"{settings.metrics_host} port {settings.metrics_port}"
        yield ok("access", f"the metrics are on {where} without a key; let only Prometheus reach it")


def check_alerts(connection: Connection) -> Iterator[Finding]:
    """Yield alerts that were given up."""
    counts = read_delivery_counts(connection)
    if counts.get("dead"):
        yield warning("alerts", f"{counts['dead']} deliveries were given up; check the targets of the subscriptions")
    else:
        yield ok("alerts", f"{counts['delivered']} deliveries, {counts['pending']} pending, none given up")
