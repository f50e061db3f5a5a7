"""The factors of adjusted closes, made of the actions alone, are those of training, to the last bit."""

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.api.prices.queries import Span, read_bars, read_last_session
from service.db.session import Database
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.adjustment.corporate_actions import Action, ActionKind
from tests.support.api.ledger_factory import THURSDAY, add_action, add_bars, add_instrument

PRICES = st.floats(1.0, 1000.0)
ACTION = st.tuples(st.integers(-3, 33), st.sampled_from(list(ActionKind)), st.floats(0.01, 1.5))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    closes=st.dictionaries(st.integers(0, 30), PRICES, min_size=1, max_size=12),
    actions=st.lists(ACTION, max_size=6, unique_by=lambda each: each[:2]),
)
def test_factors_are_those_of_training(
    tmp_path: Path, filled_file: Path, closes: dict[int, float], actions: list[tuple[int, ActionKind, float]]
) -> None:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'own.db')}")
    days = {THURSDAY + timedelta(days=n): close for n, close in sorted(closes.items())}
    with database.transaction() as connection:
        add_instrument(connection, "OWN")
        add_bars(connection, "OWN", days)
        for n, kind, value in actions:
            add_action(connection, "OWN", THURSDAY + timedelta(days=n), kind, value)
    with database.reading() as connection:
        found = read_bars(connection, Span("OWN"), 100)
        page = read_bars(connection, Span("OWN", last=found[0].session, before=found[0].session), 2)
        last = read_last_session(connection, Span("OWN"), 2)
    database.close()
    stored = [Action(THURSDAY + timedelta(days=n), kind, value) for n, kind, value in actions]
    factors = adjustment_factors(np.array(list(days), "datetime64[D]"), np.array(list(days.values())), stored)
    assert [bar.adjusted_close for bar in found[::-1]] == (np.array(list(days.values())) * factors).tolist()
    assert page == found[1:3]
    assert last == (found[1].session if len(found) > 2 else None)
