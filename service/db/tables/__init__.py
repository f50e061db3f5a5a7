"""Every table, one module per part of the line; importing this package fills the metadata."""

from service.db.base import metadata
from service.db.tables.alerts import (
    alert_conditions,
    alert_coverage,
    alert_deliveries,
    alert_events,
    alert_subscriptions,
)
from service.db.tables.control import (
    api_keys,
    audit,
    change_counters,
    market_clock,
    page_sessions,
    run_requests,
    schedulers,
    source_rate_limits,
    stamp,
)
from service.db.tables.forecasts import editions, forecasts, score_batches, scores, served_forecasts, track_records
from service.db.tables.market import instruments, sessions
from service.db.tables.prices import (
    bar_revisions,
    bars,
    corporate_action_revisions,
    corporate_actions,
    quarantine,
    symbol_holds,
)
from service.db.tables.runs import run_outcomes, runs
from service.db.tables.training import calibration_states, config_approvals, model_decisions, model_versions

APPEND_ONLY = ("editions", "forecasts", "served_forecasts", "score_batches", "scores", "model_decisions",
               "config_approvals", "audit")  # fmt: skip
"""Tables of the ledger, and the audit: triggers of the migrations refuse to change or delete their rows."""

__all__ = [
    "APPEND_ONLY",
    "alert_conditions",
    "alert_coverage",
    "alert_deliveries",
    "alert_events",
    "alert_subscriptions",
    "api_keys",
    "audit",
    "bar_revisions",
    "bars",
    "calibration_states",
    "change_counters",
    "config_approvals",
    "corporate_action_revisions",
    "corporate_actions",
    "editions",
    "forecasts",
    "instruments",
    "market_clock",
    "metadata",
    "model_decisions",
    "model_versions",
    "page_sessions",
    "quarantine",
    "run_outcomes",
    "run_requests",
    "runs",
    "schedulers",
    "score_batches",
    "scores",
    "served_forecasts",
    "sessions",
    "source_rate_limits",
    "stamp",
    "symbol_holds",
    "track_records",
]
