"""Words that the database, the jobs and the API share: states, modes and kinds, one definition each."""

from enum import StrEnum
from typing import Final

RANDOM_WALK: Final = "random_walk"
"""Name of the baseline: a forecaster of `model_versions` and of `track_records`."""

SERVED: Final = "served"
"""The forecaster of a track record that follows the published forecasts, whichever model made them."""

ALWAYS_OPEN: Final = "24/7"
"""Calendar of crypto currencies."""

WEEKDAYS_ONLY: Final = "24/5"
"""Calendar of exchange rates: open from Monday to Friday around the clock."""

CONTINUOUS_CALENDARS: Final = frozenset({ALWAYS_OPEN, WEEKDAYS_ONLY})
"""Calendars whose sessions open the moment the one before closes; they have a settle delay of their own."""


class Scope(StrEnum):
    """What a key permits: read answers, request runs, or change models, symbols and subscriptions."""

    READ = "read"
    RUN = "run"
    ADMIN = "admin"


class Mode(StrEnum):
    """How an edition was made: on time, on a replayed clock, or afterwards."""

    LIVE = "live"
    REPLAY = "replay"
    BACKFILL = "backfill"


class Job(StrEnum):
    """What a run does."""

    PULL = "pull"
    SCORE = "score"
    FORECAST = "forecast"
    TRAIN = "train"
    BACKFILL = "backfill"


class RunState(StrEnum):
    """State of a run, column `runs.state`."""

    DUE = "due"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class ForecastOutcome(StrEnum):
    """Outcome of a forecast run for one symbol, column `run_outcomes.state`."""

    FORECAST = "forecast"
    WAITING = "waiting"
    MISSED = "missed"
    REFUSED = "refused"


class TrainOutcome(StrEnum):
    """Outcome of a train run for one symbol, column `run_outcomes.state`."""

    TRAINED = "trained"
    RANDOM_WALK_ONLY = "random_walk_only"


FAILED: Final = "failed"
"""Outcome of a symbol whose run failed for good, in a run of any job; its reason is the run's error."""


class BackfillOutcome(StrEnum):
    """Outcome of a backfill run for one symbol, column `run_outcomes.state`."""

    PUBLISHED = "published"
    ALREADY_STORED = "already_stored"
    WITHOUT_BAR = "without_bar"
    REFUSED = "refused"


class RequestKind(StrEnum):
    """What a run request changes, column `run_requests.kind`."""

    RUN = "run"
    ADD_SYMBOL = "symbols.add"
    REMOVE_SYMBOL = "symbols.remove"
    PROMOTE = "models.promote"
    ROLL_BACK = "models.rollback"
    PIN = "models.pin"
    UNPIN = "models.unpin"


class RequestState(StrEnum):
    """State of a run request, column `run_requests.state`; an accepted one waits for its runs."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"


class ModelStatus(StrEnum):
    """Status of a model version, column `model_versions.status`."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    RETIRED = "retired"
    REJECTED = "rejected"


class ApprovalKind(StrEnum):
    """Basis of a decision on a model config, column `config_approvals.kind`.

    `attempt`: an attempt on evidence; `live`: its live scores; `withdrawn`: a person.
    """

    ATTEMPT = "attempt"
    LIVE = "live"
    WITHDRAWN = "withdrawn"


class ScoreState(StrEnum):
    """State of a forecast's score.

    It is `pending` until its target session has closed, and while a bar that it depends on is held back.
    """

    PENDING = "pending"
    SCORED = "scored"
    VOID = "void"


class SymbolState(StrEnum):
    """State of an instrument, column `instruments.state`."""

    NEW = "new"
    OK = "ok"
    SUSPECT = "suspect"
    UNKNOWN = "unknown"
    FAILING = "failing"


class SessionState(StrEnum):
    """State of a calendar's session, column `sessions.state`."""

    EXPECTED = "expected"
    CLOSED = "closed"


class QuarantineState(StrEnum):
    """State of a quarantined row or of a symbol hold; only a row is `rejected`."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    CLEARED = "cleared"
    REJECTED = "rejected"


class AlertKind(StrEnum):
    """Kind of an alert event, column `alert_events.kind`.

    A subscription names the kinds it wants; `source_up` follows `source_down`, and `test` is requested.
    """

    CLOSE_LEFT_INTERVAL = "close_left_interval"
    WIDTH_JUMPED = "width_jumped"
    FORECAST_MISSED = "forecast_missed"
    FORECAST_STALE = "forecast_stale"
    SOURCE_DOWN = "source_down"
    SOURCE_UP = "source_up"
    CHAMPION_CHANGED = "champion_changed"
    COVERAGE_DRIFTED = "coverage_drifted"
    TEST = "test"


class AlertScope(StrEnum):
    """What an alert subscription covers, column `alert_subscriptions.scope_kind`."""

    ALL = "all"
    GROUP = "group"
    SYMBOL = "symbol"


class TargetKind(StrEnum):
    """How an alert is sent, column `alert_subscriptions.target_kind`."""

    WEBHOOK = "webhook"
    APPRISE = "apprise"


class DeliveryState(StrEnum):
    """State of an alert delivery, column `alert_deliveries.state`.

    `dead` after the last attempt; `dropped` because its subscription was removed.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"
