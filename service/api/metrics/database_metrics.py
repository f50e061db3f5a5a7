"""Metrics read from the database when they are scraped, and kept for some seconds."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic

import structlog
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from service.api.common.dependencies import Reader, Snapshot
from service.api.common.queries import read_newest_heartbeat
from service.api.metrics import queries
from service.clock import DatabaseClock
from service.errors import NotYet
from service.runs import JOBS
from service.settings import Settings
from service.vocabulary import RunState

KEPT_SECONDS = 5.0
"""How long a scrape's numbers are kept: more scrapers cost the database nothing."""

_log = structlog.get_logger(__name__)


class DatabaseMetrics(Collector):
    """Reads a fixed set of queries in one snapshot; thread-safe.

    Args:
        reader: The database and the settings.
        kept_seconds: How long numbers are kept.
    """

    def __init__(self, reader: Reader, kept_seconds: float = KEPT_SECONDS) -> None:
        self._reader = reader
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._expires = 0.0
        self._is_failing = False

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; without a database only that it is down."""
        with self._lock:
            if monotonic() >= self._expires:
                self._kept = self._read()
                self._expires = monotonic() + self._kept_seconds
            kept = self._kept
        yield from kept

    def _read(self) -> list[Metric]:
        up = GaugeMetricFamily("tplus_database_up", "Whether the database can be read.")
        begin = monotonic()
        try:
            with self._reader.snapshot() as snapshot:
                found = _all_metrics(snapshot, self._reader.settings)
        except NotYet:
            found = []  # migrated, and not used yet
        except SQLAlchemyError as error:
            if not self._is_failing:  # once, until it works again
                _log.warning("the metrics of the database cannot be read", error=type(error).__name__)
            self._is_failing = True
            up.add_metric([], 0)
            return [up]
        self._is_failing = False
        up.add_metric([], 1)
        took = GaugeMetricFamily(
            "tplus_database_collection_seconds", "Seconds that reading these metrics took.", monotonic() - begin
        )
        return [up, took, *found]


def _all_metrics(snapshot: Snapshot, settings: Settings) -> list[Metric]:
    connection, now = snapshot.connection, snapshot.now
    return [
        *_scheduler_metrics(connection, settings),
        *_run_metrics(queries.read_run_groups(connection)),
        *_forecast_metrics(connection, settings, now),
        *_data_metrics(connection, settings, now),
        *_record_metrics(queries.read_group_records(connection)),
        _labelled(
            "tplus_alert_deliveries", "Alert deliveries by state.", "state", queries.read_delivery_counts(connection)
        ),
    ]


def _labelled(name: str, help_text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _scheduler_metrics(connection: Connection, settings: Settings) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "tplus_scheduler_lease_seconds", "How long a claim holds without a heartbeat.", settings.lease_seconds
    )
    age = GaugeMetricFamily("tplus_scheduler_heartbeat_age_seconds", "Seconds since a scheduler's newest heartbeat.")
    heartbeat_at = read_newest_heartbeat(connection)
    if heartbeat_at is not None:
        age.add_metric([], (DatabaseClock().now(connection) - heartbeat_at).total_seconds())
    yield age


def _run_metrics(groups: list[queries.RunGroup]) -> Iterator[Metric]:
    jobs = list(dict.fromkeys([*JOBS, *(group.job for group in groups)]))
    by_state = GaugeMetricFamily("tplus_runs", "Runs by job and state.", labels=["job_name", "state"])
    counts = {(job, str(state)): 0 for job in jobs for state in RunState}
    counts |= {(group.job, group.state): group.runs for group in groups}
    for labels, count in counts.items():
        by_state.add_metric(list(labels), count)
    yield by_state
    totals = {
        "takeovers": "Runs taken over from a worker whose lease had expired.",
        "fenced": "Results discarded, because the worker's claim was lost.",
        "faults": "Retries after machine faults, which use no attempt.",
    }
    for field, help_text in totals.items():
        family = CounterMetricFamily(f"tplus_run_{field}", help_text, labels=["job_name"])
        for job in jobs:
            family.add_metric([job], sum(getattr(group, field) for group in groups if group.job == job))
        yield family
    newest = GaugeMetricFamily(
        "tplus_run_last_done_timestamp_seconds", "Machine time at which a run last ended as done.", labels=["job_name"]
    )
    for group in groups:
        if group.state == RunState.DONE and group.newest_end is not None:
            newest.add_metric([group.job], group.newest_end.timestamp())
    yield newest
    yield _durations(jobs, groups)


def _durations(jobs: list[str], groups: list[queries.RunGroup]) -> Metric:
    family = HistogramMetricFamily(
        "tplus_run_duration_seconds",
        "Seconds from a run's first start to its end as done or failed.",
        labels=["job_name"],
    )
    for job in jobs:
        own = [group for group in groups if group.job == job]
        within = [sum(group.within[index] for group in own) for index in range(len(queries.DURATION_BUCKETS))]
        buckets = [
            (f"{bound:.1f}", float(count)) for bound, count in zip(queries.DURATION_BUCKETS, within, strict=True)
        ]
        buckets.append(("+Inf", float(sum(group.ended for group in own))))
        family.add_metric([job], buckets, sum(group.seconds for group in own))
    return family


def _forecast_metrics(connection: Connection, settings: Settings, now: datetime) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "tplus_forecast_age_seconds", "Market time since the newest forecasts were issued.", labels=["calendar"]
    )
    stale = GaugeMetricFamily(
        "tplus_forecast_stale", "Whether the newest forecasts are stale: 2 h after the next were due.",
        labels=["calendar"],
    )  # fmt: skip
    for fresh in queries.read_forecast_freshness(connection, settings, now):
        age.add_metric([fresh.calendar], fresh.age.total_seconds())
        stale.add_metric([fresh.calendar], fresh.is_stale)
    yield age
    yield stale
    outcomes = CounterMetricFamily(
        "tplus_forecast_outcomes", "Symbols of forecast runs by outcome.", labels=["outcome"]
    )
    for outcome, count in queries.read_forecast_outcomes(connection).items():
        outcomes.add_metric([outcome], count)
    yield outcomes
    yield GaugeMetricFamily(
        "tplus_scores_void", "Forecasts that cannot be scored: a bar is missing.", queries.read_void_count(connection)
    )
    yield GaugeMetricFamily(
        "tplus_edition_number", "Number of the newest edition.", queries.read_edition_count(connection)
    )


def _data_metrics(connection: Connection, settings: Settings, now: datetime) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "tplus_data_age_seconds", "Market time since the newest bar of a calendar was final.", labels=["calendar"]
    )
    behind = GaugeMetricFamily(
        "tplus_data_sessions_behind", "Final sessions after the newest bar of a calendar.", labels=["calendar"]
    )
    for fresh in queries.read_data_freshness(connection, settings, now):
        if fresh.age is not None:
            age.add_metric([fresh.calendar], fresh.age.total_seconds())
        behind.add_metric([fresh.calendar], fresh.sessions_behind)
    yield age
    yield behind
    yield _labelled(
        "tplus_symbols", "Symbols on the watchlist by state.", "state", queries.read_symbol_counts(connection)
    )
    yield GaugeMetricFamily(
        "tplus_market_time_seconds", "Market time as a Unix timestamp; replayed, or now.",
        now.astimezone(UTC).timestamp(),
    )  # fmt: skip


def _record_metrics(records: list[queries.GroupRecord]) -> Iterator[Metric]:
    labels = ["group", "strategy", "step", "mode"]
    scored = GaugeMetricFamily("tplus_track_record_forecasts", "Scored published forecasts.", labels=labels)
    skill = GaugeMetricFamily(
        "tplus_track_record_skill", "Skill of published forecasts against the random walk.", labels=labels
    )
    coverage = GaugeMetricFamily(
        "tplus_track_record_coverage", "Share of outcomes inside the interval of a level.", labels=[*labels, "level"]
    )
    for record in records:
        values = [record.group, record.strategy, str(record.step), record.mode]
        scored.add_metric(values, record.n)
        if record.skill is not None:
            skill.add_metric(values, record.skill)
        for level, share in (("50", record.coverage_50), ("80", record.coverage_80), ("95", record.coverage_95)):
            coverage.add_metric([*values, level], share)
    yield scored
    yield skill
    yield coverage
