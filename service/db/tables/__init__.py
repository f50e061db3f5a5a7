"""Every table, one module per part of the line; importing this package fills the metadata."""

from service.db.base import metadata
from service.db.tables.control import api_keys, audit, changes, market_clock, requests, schedulers, stamp
from service.db.tables.forecasts import accuracy, edition_items, editions, forecasts, scores
from service.db.tables.market import instruments, sessions
from service.db.tables.prices import actions, bar_revisions, bars, quarantine
from service.db.tables.runs import run_outcomes, runs
from service.db.tables.training import calibration_states, model_decisions, model_versions, recipe_judgements

APPEND_ONLY = ("editions", "forecasts", "edition_items", "scores", "model_decisions", "recipe_judgements")
"""Tables of the ledger: triggers of the migrations refuse to update or delete their rows."""

__all__ = [
    "APPEND_ONLY",
    "accuracy",
    "actions",
    "api_keys",
    "audit",
    "bar_revisions",
    "bars",
    "calibration_states",
    "changes",
    "edition_items",
    "editions",
    "forecasts",
    "instruments",
    "market_clock",
    "metadata",
    "model_decisions",
    "model_versions",
    "quarantine",
    "recipe_judgements",
    "requests",
    "run_outcomes",
    "runs",
    "schedulers",
    "scores",
    "sessions",
    "stamp",
]
