"""A small database as migration 1004 left it, written with plain SQL: what every later version must be able to upgrade.

The rows are literal and know nothing of the declared tables, which move on with later migrations. The hashes of the two
editions and of the score batch are those that version computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

REVISION = "1004"
"""The migration that the rows belong to."""

_SEEN = "2018-06-01 22:00:00.000000"
_RECORDED = "2026-01-02 03:04:00.000000"
_HASHES = (
    "31fc95174ea87645bc65c06ff0937a52401d623023aa88e2ac81506b5db768c1",
    "3f3375dfaca80f8dd3aa9ac078733b7688e20c9e6efe2dfc241e7d21784cc79f",
    "7f758400123596efd689bf6c2af53ebd7509771ddec0f5f663f0c74c288e1dbf",
)
"""Of edition 1, of edition 2, of score batch 1."""


def write_first_release(connection: Connection) -> None:
    """Insert the rows into an empty database at `REVISION`.

    Args:
        connection: An open write transaction, of either database.
    """
    for table, rows in _rows().items():
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({values})'), dict(row))
    if connection.dialect.name == "postgresql":
        for table in ("runs", "model_versions", "forecasts", "scores", "quarantine", "run_requests", "audit"):
            sequence = f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            connection.execute(text(sequence))


def _rows() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    return {**_market(), **_models(), **_ledger()}


def _market() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    bar = {"open": 99.0, "high": 102.0, "low": 98.0, "volume": 1000.0, "source": "sample", "fetched_at": _SEEN,
           "vendor": None}  # fmt: skip
    return {
        "stamp": [{"id": 1, "source": "sample", "clock_mode": "replay", "start_at": _SEEN, "created_at": _RECORDED}],
        "market_clock": [{"id": 1, "now": _SEEN, "record_end": "2018-12-31"}],
        "change_counters": [{"scope": "", "counter": 5}, {"scope": "AAPL", "counter": 3}],
        "audit": [{"id": 1, "at": _RECORDED, "actor": "command line", "action": "hold.clear", "subject": "AAPL",
                   "detail": '{"id": 1}'}],
        "run_requests": [{"id": 1, "kind": "run", "body": '{"job": "pull"}', "state": "done", "created_at": _RECORDED,
                          "body_hash": "ea23b776ac33a35072c71e53cdd346d1f85c037a1897c4ffad088a610a72ccd6"}],
        "instruments": [{"symbol": "AAPL", "name": "Apple Inc.", "instrument_type": "EQUITY", "group": "equity",
                         "calendar": "XNYS", "currency": "USD", "active": True, "reference": False, "basis": 1,
                         "state": "ok", "state_since": _SEEN, "added_at": _SEEN, "first_session": "2018-05-31",
                         "last_session": "2018-06-01"}],
        "sessions": [{"calendar": "XNYS", "session": day, "open_at": f"{day} 13:30:00.000000",
                      "close_at": f"{day} 20:00:00.000000", "state": "expected", "approximate": False}
                     for day in ("2018-05-31", "2018-06-01")],
        "bars": [{"symbol": "AAPL", "session": "2018-05-31", "close": 100.0, "revision": 1, **bar},
                 {"symbol": "AAPL", "session": "2018-06-01", "close": 101.0, "revision": 2, **bar}],
        "bar_revisions": [{"id": 1, "symbol": "AAPL", "session": "2018-06-01", "revision": 1, "close": 100.5,
                           "fetched_at": _SEEN, "replaced_at": _SEEN, "basis": 1}],
        "corporate_actions": [{"symbol": "AAPL", "ex_date": "2018-05-11", "kind": "dividend", "value": 0.73,
                               "fetched_at": _SEEN, "revision": 2}],
        "corporate_action_revisions": [{"id": 1, "symbol": "AAPL", "ex_date": "2018-05-11", "kind": "dividend",
                                        "revision": 1, "value": 0.63, "fetched_at": _SEEN, "replaced_at": _SEEN,
                                        "basis": 1}],
        "quarantine": [{"id": 1, "symbol": "AAPL", "session": "2018-06-01", "row": '{"close": 50.5, "clears": true}',
                        "reason": "the close halves", "state": "cleared", "first_seen_at": _SEEN,
                        "last_seen_at": _SEEN}],
        "symbol_holds": [{"id": 1, "symbol": "AAPL", "kind": "basis", "reason": "came twice", "state": "cleared",
                          "sessions_seen": '["2018-05-31"]', "allowed": False, "first_seen_at": _SEEN,
                          "last_seen_at": _SEEN}],
    }  # fmt: skip


def _models() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    return {
        "runs": [{"id": 1, "job": "forecast", "scope": "XNYS", "scheduled_for": _SEEN, "sequence": 0,
                  "session": "2018-05-31", "state": "done", "attempt": 1, "token": 1, "counts": '{"issued": 1}',
                  "faults": 0, "takeovers": 0, "warnings": "[]"}],
        "run_outcomes": [{"run_id": 1, "symbol": "AAPL", "state": "issued", "reason": None}],
        "source_rate_limits": [{"source": "sample", "run_id": 1, "limits": 1, "limited_at": _RECORDED,
                                "paused_until": None}],
        "model_versions": [{"id": 1, "group": "equity", "strategy": "one_step", "forecaster": "random_walk",
                            "lookback": 60, "horizon": 1, "trained_at": _SEEN, "recorded_at": _RECORDED,
                            "data_hash": "d", "seeds": "[]", "specs": "{}", "config_hash": "c", "metrics": "{}",
                            "artifact": "walk-1", "sha256": "s", "status": "champion", "reason": "first",
                            "for_backfill": False, "run_id": 1}],
        "model_decisions": [{"id": 1, "model_version_id": 1, "decided_at": _SEEN, "recorded_at": _RECORDED,
                             "status": "champion", "reason": "first", "figures": "{}", "run_id": 1}],
        "config_approvals": [{"id": 1, "group": "equity", "strategy": "one_step", "config_hash": "c",
                              "forecaster": "lstm", "kind": "attempt", "attempt": 1, "accepted": False, "sessions": 0,
                              "reason": "too short", "decided_at": _SEEN, "recorded_at": _RECORDED}],
        "calibration_states": [{"model_version_id": 1, "calendar": "XNYS", "step": 1, "as_of": "2018-05-31",
                                "state": "{}"}],
    }  # fmt: skip


def _ledger() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    shape = {"q025": -0.04, "q10": -0.025, "q25": -0.0125, "q50": 0.0, "q75": 0.0125, "q90": 0.025, "q975": 0.04}
    forecast = {"symbol": "AAPL", "step": 1, "strategy": "one_step", "model_version_id": 1, "revision": 1, "basis": 1,
                "last_close": 100.0, "sigma": 0.015, **shape, **{f"raw_{name}": value for name, value in shape.items()},
                "degraded": "null"}  # fmt: skip
    edition = {"mode": "replay", "calendar": "XNYS", "issued_at": _SEEN, "recorded_at": _RECORDED, "run_id": 1}
    served = {"symbol": "AAPL", "strategy": "one_step", "model_version_id": 1, "reason": "the random walk is champion"}
    return {
        "editions": [
            {"number": 1, "as_of": "2018-05-31", "previous_hash": "0" * 64, "hash": _HASHES[0], **edition},
            {"number": 2, "as_of": "2018-06-01", "previous_hash": _HASHES[0], "hash": _HASHES[1], **edition},
        ],
        "forecasts": [
            {"id": 1, "edition": 1, "as_of": "2018-05-31", "target_session": "2018-06-01", **forecast},
            {"id": 2, "edition": 2, "as_of": "2018-06-01", "target_session": "2018-06-04", **forecast},
        ],
        "served_forecasts": [{"edition": number, **served} for number in (1, 2)],
        "score_batches": [{"number": 1, "calendar": "XNYS", "scored_at": _SEEN, "recorded_at": _RECORDED,
                           "previous_hash": "0" * 64, "hash": _HASHES[2], "run_id": None}],
        "scores": [{"id": 1, "batch": 1, "forecast_id": 1, "revision": 1, "state": "scored", "reason": None,
                    "bars_revision": 3, "actions_revision": 0, "actual": 0.00995033, "pinball": 0.0021,
                    "error": 0.00995033, "inside_50": True, "inside_80": True, "inside_95": True, "scored_at": _SEEN,
                    "recorded_at": _RECORDED}],
        "track_records": [{"id": 1, "scope_kind": "symbol", "scope": "AAPL", "strategy": "one_step", "step": 1,
                           "forecaster": "served", "mode": "replay", "as_of": "2018-06-01", "n": 1, "pinball": 0.0021,
                           "coverage_50": 1.0, "coverage_80": 1.0, "coverage_95": 1.0, "mae": 0.00995033}],
    }  # fmt: skip
