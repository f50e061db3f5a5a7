"""Track records, compared with a slow computation that reads the stored rows one by one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from models.config import Strategy
from models.metrics.significance import diebold_mariano
from service.db.tables import editions, forecasts, model_versions, served_forecasts, track_records
from service.forecasts.ledger import publish
from service.forecasts.scoring.track_records import update_track_records
from tests.support.forecast_factory import NOON, Desk, History, Said, draft_of, sessions_until
from tests.support.score_batches import add_scores

LAST = date(2018, 6, 29)
WALK, NETWORK = 1, 2


@dataclass(frozen=True)
class StepScore:
    """The score of one forecaster's only step."""

    pinball: float
    inside: tuple[bool, bool, bool] = (True, True, True)
    error: float = 0.01


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """Return a desk with two symbols, a random walk (1) and a network (2) of one step."""
    for symbol in ("AAA", "BBB"):
        desk.add(History(symbol, LAST, [100.0]))
    assert desk.add_walk(Strategy.ONE_STEP) == WALK
    assert desk.add_network(Strategy.ONE_STEP, "challenger") == NETWORK
    return desk


@dataclass(frozen=True)
class ScoredForecast:
    """One symbol's forecasts from one as_of: the score of each version, and the version served."""

    symbol: str
    as_of: date
    target: date
    scores: dict[int, StepScore]
    served: int
    revision: int = 1


def publish_and_score(desk: Desk, scored: Iterable[ScoredForecast], mode: str = "replay") -> None:
    """Publish and score the forecasts, an edition each."""
    with desk.database.transaction() as connection:
        for forecast in scored:
            given = [
                Said(forecast.symbol, forecast.as_of, (forecast.target,), version, "one_step", forecast.revision,
                     served=version == forecast.served)
                for version in forecast.scores
            ]  # fmt: skip
            number = publish(connection, draft_of(*given, mode=mode), NOON, NOON)
            ids = forecasts.select().where(forecasts.c.edition == number)
            rows = [_score(row.id, forecast.scores[row.model_version_id]) for row in connection.execute(ids)]
            add_scores(connection, rows, NOON)


def _score(forecast_id: int, score: StepScore, revision: int = 1, state: str = "scored") -> dict[str, Any]:
    inside = dict(zip(("inside_50", "inside_80", "inside_95"), score.inside, strict=True))
    return {
        "forecast_id": forecast_id, "revision": revision, "state": state, "pinball": score.pinball,
        "error": score.error, "actual": 0.0, **inside, "scored_at": NOON, "recorded_at": NOON,
    }  # fmt: skip


def updated_records(desk: Desk, *symbols: str, mode: str = "replay") -> dict[tuple[str, str], Any]:
    """Update the track records and return them by (scope, forecaster)."""
    with desk.database.transaction() as connection:
        update_track_records(connection, symbols, mode)
    return {(row.scope, row.forecaster): row for row in desk.rows(track_records, mode=mode)}


def days(n: int) -> list[tuple[date, date]]:
    """Return the last `n` pairs of an as_of and its T."""
    found = sessions_until(LAST, n + 1)
    return list(pairwise(found))


def steady(n: int, own: float, walk: float, served: int = NETWORK, symbol: str = "AAA") -> list[ScoredForecast]:
    return [
        ScoredForecast(symbol, as_of, target, {NETWORK: StepScore(own), WALK: StepScore(walk)}, served)
        for as_of, target in days(n)
    ]


@pytest.mark.parametrize(("n", "skill"), [(59, None), (60, 0.25)])
def test_skill_is_null_under_sixty_sessions(ready: Desk, n: int, skill: float | None) -> None:
    publish_and_score(ready, steady(n, 0.003, 0.004))
    row = updated_records(ready, "AAA")[("AAA", "served")]
    assert row.n == n
    assert row.skill == (None if skill is None else pytest.approx(skill, abs=1e-12))
    assert (row.pinball, row.random_walk_pinball) == (pytest.approx(0.003), pytest.approx(0.004))


def test_served_network_and_random_walk_have_a_record_each(ready: Desk) -> None:
    half = len(days(80)) // 2
    scored = [
        ScoredForecast(
            "AAA", as_of, target, {NETWORK: StepScore(0.003), WALK: StepScore(0.004)}, WALK if row < half else NETWORK
        )
        for row, (as_of, target) in enumerate(days(80))
    ]
    publish_and_score(ready, scored)
    found = updated_records(ready, "AAA")
    assert found[("AAA", "served")].skill == pytest.approx(1 - (40 * 0.004 + 40 * 0.003) / (80 * 0.004))
    assert found[("AAA", "lstm")].skill == pytest.approx(0.25)
    assert found[("AAA", "random_walk")].skill == pytest.approx(0.0, abs=1e-12)
    assert found[("AAA", "random_walk")].p is None


def test_p_is_null_if_the_random_walk_served(ready: Desk) -> None:
    publish_and_score(ready, steady(70, 0.003, 0.004, served=WALK))
    row = updated_records(ready, "AAA")[("AAA", "served")]
    assert (row.skill, row.p) == (pytest.approx(0.0, abs=1e-12), None)


def test_modes_are_never_mixed(ready: Desk) -> None:
    publish_and_score(ready, steady(5, 0.003, 0.004))
    elsewhere = sessions_until(date(2018, 3, 29), 6)
    pairs = pairwise(elsewhere)
    publish_and_score(
        ready,
        [ScoredForecast("AAA", a, t, {NETWORK: StepScore(9.0), WALK: StepScore(9.0)}, NETWORK) for a, t in pairs],
        "live",
    )
    found = updated_records(ready, "AAA")
    assert {row.n for row in found.values()} == {5}
    assert found[("AAA", "served")].pinball == pytest.approx(0.003)
    assert updated_records(ready, "AAA", mode="live")[("AAA", "served")].pinball == pytest.approx(9.0)


def test_only_the_last_revision_counts_even_of_another_version(ready: Desk) -> None:
    ((as_of, target),) = days(1)
    second = ready.add_network(Strategy.ONE_STEP, "challenger", seed=5)
    publish_and_score(
        ready, [ScoredForecast("AAA", as_of, target, {NETWORK: StepScore(0.9), WALK: StepScore(0.8)}, NETWORK)]
    )
    publish_and_score(
        ready,
        [ScoredForecast("AAA", as_of, target, {second: StepScore(0.3), WALK: StepScore(0.4)}, second, revision=2)],
    )
    found = updated_records(ready, "AAA")
    figures = {name: (row.n, row.pinball, row.random_walk_pinball) for (scope, name), row in found.items() if
               scope == "AAA"}  # fmt: skip
    assert figures == {"served": (1, 0.3, 0.4), "lstm": (1, 0.3, 0.4), "random_walk": (1, 0.4, 0.4)}


def test_of_two_versions_of_a_network_the_served_one_counts(ready: Desk) -> None:
    ((as_of, target),) = days(1)
    newer = ready.add_network(Strategy.ONE_STEP, "challenger", seed=5)
    scores = {NETWORK: StepScore(0.3), newer: StepScore(0.2), WALK: StepScore(0.4)}
    publish_and_score(
        ready,
        [ScoredForecast("AAA", as_of, target, scores, NETWORK), ScoredForecast("BBB", as_of, target, scores, WALK)],
    )
    found = updated_records(ready, "AAA", "BBB")
    assert (found[("AAA", "lstm")].n, found[("AAA", "lstm")].pinball) == (1, 0.3)
    assert (found[("BBB", "lstm")].n, found[("BBB", "lstm")].pinball) == (1, 0.2)


def test_the_newest_score_of_a_forecast_counts(ready: Desk) -> None:
    ((as_of, target),) = days(1)
    publish_and_score(
        ready, [ScoredForecast("AAA", as_of, target, {NETWORK: StepScore(0.9), WALK: StepScore(0.8)}, NETWORK)]
    )
    with ready.database.transaction() as connection:
        rows = [_score(row.id, StepScore(0.2 * row.model_version_id), revision=2) for row in ready.rows(forecasts)]
        add_scores(connection, rows, NOON)
    found = updated_records(ready, "AAA")
    assert (found[("AAA", "served")].pinball, found[("AAA", "served")].random_walk_pinball) == (0.4, 0.2)


def test_a_forecast_without_a_random_walk_does_not_count_for_the_skill(ready: Desk) -> None:
    scored = steady(61, 0.003, 0.004)
    first = scored[0]
    alone = ScoredForecast(first.symbol, first.as_of, first.target, {NETWORK: StepScore(9.0)}, NETWORK)
    publish_and_score(ready, [alone, *scored[1:]])
    row = updated_records(ready, "AAA")[("AAA", "served")]
    assert (row.n, row.skill) == (61, pytest.approx(0.25))


def test_only_the_last_252_scored_sessions_count(ready: Desk) -> None:
    scored = steady(260, 0.003, 0.004)
    old = [
        ScoredForecast(o.symbol, o.as_of, o.target, {NETWORK: StepScore(9.0), WALK: StepScore(9.0)}, NETWORK)
        for o in scored[:8]
    ]
    publish_and_score(ready, [*old, *scored[8:]])
    row = updated_records(ready, "AAA")[("AAA", "served")]
    assert (row.n, row.pinball) == (252, pytest.approx(0.003))


def test_an_update_overwrites_its_rows(ready: Desk) -> None:
    scored = steady(4, 0.003, 0.004)
    publish_and_score(ready, scored[:2])
    assert updated_records(ready, "AAA")[("AAA", "served")].n == 2
    publish_and_score(ready, scored[2:])
    assert updated_records(ready, "AAA")[("AAA", "served")].n == 4


def test_only_the_given_symbols_and_their_whole_group_are_written(ready: Desk) -> None:
    publish_and_score(ready, [*steady(3, 0.003, 0.004), *steady(3, 0.005, 0.004, symbol="BBB")])
    found = updated_records(ready, "AAA")
    assert {scope for scope, _ in found} == {"AAA", "equity"}
    assert (found[("equity", "served")].n, found[("equity", "served")].pinball) == (6, pytest.approx(0.004))


def test_another_group_on_the_same_exchange_is_left_out(ready: Desk) -> None:
    ready.add(History("IDX", LAST, [100.0], group="other"))
    publish_and_score(ready, [*steady(3, 0.003, 0.004), *steady(3, 9.0, 9.0, symbol="IDX")])
    found = updated_records(ready, "AAA")
    assert {scope for scope, _ in found} == {"AAA", "equity"}
    assert (found[("equity", "served")].n, found[("equity", "served")].pinball) == (3, pytest.approx(0.003))
    assert updated_records(ready, "IDX")[("other", "served")].pinball == pytest.approx(9.0)


def test_a_record_older_than_the_history_stays(ready: Desk) -> None:
    """An action of an old ex-date revises a score of a symbol that has been off the exchange for a year and more."""
    ready.add(History("IDX", LAST, [100.0], group="other"))
    publish_and_score(ready, steady(3, 0.003, 0.004))
    assert updated_records(ready, "AAA")[("AAA", "served")].n == 3
    later = {NETWORK: StepScore(0.3), WALK: StepScore(0.4)}
    publish_and_score(ready, [ScoredForecast("IDX", date(2019, 12, 2), date(2019, 12, 3), later, NETWORK)])
    found = updated_records(ready, "AAA")
    assert {key: row.n for key, row in found.items()} == {
        (scope, forecaster): 3 for scope in ("AAA", "equity") for forecaster in ("served", "lstm", "random_walk")
    }


def random_forecasts(seed: int) -> list[ScoredForecast]:
    """Return more than a year of two symbols: some forecasts missing, some revised, served in turns."""
    random = np.random.default_rng(seed)

    def random_score() -> StepScore:
        inside = tuple(bool(value) for value in random.random(3) < (0.5, 0.8, 0.95))
        return StepScore(
            float(random.gamma(2, 0.002)), (inside[0], inside[1], inside[2]), float(random.normal(0, 0.02))
        )

    scored = []
    for as_of, target in days(270):
        for symbol in ("AAA", "BBB"):
            for revision in range(1, 1 + int(random.integers(1, 3))):
                versions = {WALK: random_score()} | ({NETWORK: random_score()} if random.random() < 0.9 else {})
                served = NETWORK if NETWORK in versions and random.random() < 0.7 else WALK
                scored.append(ScoredForecast(symbol, as_of, target, versions, served, revision))
    return scored


def expected_figures(desk: Desk, symbols: Sequence[str], forecaster: str) -> dict[str, Any]:
    """Compute the same figures from the rows of the tables, one by one."""
    names = {row.id: row.forecaster for row in desk.rows(model_versions)}
    mode = {row.number: row.mode for row in desk.rows(editions)}
    items = {(row.edition, row.symbol): row.model_version_id for row in desk.rows(served_forecasts)}
    newest = desk.newest_scores()
    last: dict[tuple[str, date], int] = {}
    for row in desk.rows(forecasts):
        last[(row.symbol, row.as_of)] = max(row.revision, last.get((row.symbol, row.as_of), 0))
    own: dict[tuple[str, date], Any] = {}
    walk: dict[tuple[str, date], float] = {}
    target: dict[tuple[str, date], date] = {}
    for row in desk.rows(forecasts):
        key = (row.symbol, row.as_of)
        if row.symbol not in symbols or mode[row.edition] != "replay" or row.revision != last[key]:
            continue
        target[key] = row.target_session
        if names[row.model_version_id] == "random_walk":
            walk[key] = newest[row.id].pinball
        if forecaster == "served":
            counts = items[(row.edition, row.symbol)] == row.model_version_id
        else:
            counts = names[row.model_version_id] == forecaster
        if counts:
            own[key] = newest[row.id]
    recent = sorted({target[key] for key in own})[-252:]
    kept = [key for key in own if target[key] in recent]
    loss, other = [own[key].pinball for key in kept], [walk[key] for key in kept]
    comparison = diebold_mariano(np.array([key[1] for key in kept], "datetime64[D]"), np.array(loss),
                                 np.array(other), 1)  # fmt: skip
    return {
        "n": len(kept),
        "as_of": max(recent),
        "pinball": sum(loss) / len(loss),
        "random_walk_pinball": sum(other) / len(other),
        "skill": 1 - sum(loss) / sum(other),
        "coverage_50": sum(own[key].inside_50 for key in kept) / len(kept),
        "coverage_80": sum(own[key].inside_80 for key in kept) / len(kept),
        "coverage_95": sum(own[key].inside_95 for key in kept) / len(kept),
        "mae": sum(abs(own[key].error) for key in kept) / len(kept),
        "p": comparison.p if forecaster != "random_walk" else None,
    }


def test_every_figure_equals_the_slow_computation(ready: Desk) -> None:
    publish_and_score(ready, random_forecasts(3))
    found = updated_records(ready, "AAA", "BBB")
    assert len(found) == 9
    for (scope, forecaster), row in found.items():
        members = ("AAA", "BBB") if scope == "equity" else (scope,)
        for name, value in expected_figures(ready, members, forecaster).items():
            expected = pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
            assert getattr(row, name) == expected, (scope, forecaster, name)
