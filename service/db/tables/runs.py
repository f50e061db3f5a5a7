"""Runs: one execution of a job for one scope and scheduled instant, with an outcome per symbol."""

from sqlalchemy import Column, Date, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from service.db.base import metadata
from service.db.types import BigId, Instant, Json

runs = Table(
    "runs",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("job", String(20), nullable=False, comment="pull, score, forecast, train or backfill"),
    Column("scope", String(40), nullable=False, comment="a calendar, or a group for train"),
    Column("scheduled_for", Instant, nullable=False, comment="market time"),
    Column("sequence", Integer, nullable=False),
    Column("session", Date, nullable=True, comment="the session it belongs to (as_of of a forecast run)"),
    Column("state", String(20), nullable=False, comment="due, running, waiting, done, failed, superseded"),
    Column("attempt", Integer, nullable=False),
    Column("token", Integer, nullable=False, comment="raised by each claim; a publish must name it"),
    Column("owner", String(64), nullable=True),
    Column("lease_until", Instant, nullable=True, comment="machine time"),
    Column("not_before", Instant, nullable=True, comment="machine time of the next attempt"),
    Column("wait_until", Instant, nullable=True, comment="market time a waiting run sleeps to"),
    Column("started_at", Instant, nullable=True, comment="machine time"),
    Column("finished_at", Instant, nullable=True, comment="machine time"),
    Column("counts", Json, nullable=False, comment="symbols by outcome"),
    Column("progress", Float, nullable=True, comment="share of the work done, 0 to 1, while it runs"),
    Column("progress_detail", Text, nullable=True, comment="what the run is working on"),
    Column("faults", Integer, nullable=False, default=0, comment="retries after machine faults; they cost no attempt"),
    Column("takeovers", Integer, nullable=False, default=0, comment="how often another worker took it over"),
    Column(
        "lost_workers",
        Integer,
        nullable=False,
        default=0,
        server_default="0",
        comment="takeovers since a worker last survived it; limited by a setting",
    ),
    Column(
        "fenced",
        Integer,
        nullable=False,
        default=0,
        server_default="0",
        comment="how often a result was discarded, because the claim was lost",
    ),
    Column("error", Text, nullable=True, comment="why it failed, or why it is tried again"),
    Column("warnings", Json, nullable=False, default=list, comment="sentences about a run that is done all the same"),
    Column("outcomes_pruned_at", Instant, nullable=True, comment="machine time; null while its outcomes are kept"),
    Column("parameters", Json, nullable=True, comment="of a backfill: its dates and symbols"),
    Column("result", Json, nullable=True, comment="of a backfill: what it has done so far"),
    Column("phases", Json, nullable=True, comment="where its time went, all attempts together"),
    UniqueConstraint("job", "scope", "scheduled_for", "sequence"),
    Index(None, "state"),
)

run_outcomes = Table(
    "run_outcomes",
    metadata,
    Column("run_id", BigId, ForeignKey("runs.id"), primary_key=True),
    Column("symbol", String(40), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=True),
)
