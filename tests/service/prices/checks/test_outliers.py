"""Suspect closes: bars that wait for confirmation, and bars that repetition never clears."""

from datetime import date

import numpy as np
import pytest

from service.prices.checks.outliers import SeriesKind, Suspect, find_suspects, series_kind
from service.prices.checks.row_checks import Rows
from service.prices.sources.base import Action, ActionKind


def rows(closes: list[float], opens: list[float] | None = None) -> Rows:
    days = np.datetime64("2024-01-01") + np.arange(len(closes))
    close = np.array(closes, np.float64)
    values = np.column_stack([np.array(opens or closes, np.float64), close, close, close, np.full(len(closes), 1.0)])
    return Rows(days, values)


def suspects_in(
    table: Rows, actions: tuple[Action, ...] = (), trusted: tuple[int, ...] = (), kind: SeriesKind = SeriesKind.TRADED
) -> tuple[Suspect, ...]:
    mask = np.zeros(len(table), bool)
    mask[list(trusted)] = True
    return find_suspects(table, actions, mask, kind)


def rows_and_clears(found: tuple[Suspect, ...]) -> list[tuple[int, bool]]:
    return [(suspect.row, suspect.clears) for suspect in found]


def test_a_crash_costs_one_bar() -> None:
    found = suspects_in(rows([100, 101, 57, 58, 56]))
    assert rows_and_clears(found) == [(2, True)]
    assert found[0].jump == pytest.approx(np.log(57 / 101))


def test_a_spike_costs_one_bar() -> None:
    assert rows_and_clears(suspects_in(rows([100, 101, 170, 102, 103]))) == [(2, True)]


@pytest.mark.parametrize(("close", "count"), [(67.1, 0), (66.9, 1), (149.1, 0), (149.3, 1)])
def test_the_threshold_is_forty_percent_on_the_log_scale(close: float, count: int) -> None:
    # exp(-0.4) = 0.67032, exp(0.4) = 1.49182
    assert len(suspects_in(rows([100, close], [100, 90]))) == count


def test_every_bar_in_mixed_units_is_suspect() -> None:
    assert rows_and_clears(suspects_in(rows([2, 2.02, 203, 201, 204, 2.05, 2.04]))) == [
        (2, False),
        (3, False),
        (4, False),
    ]


def test_mixed_units_in_the_first_row_make_only_that_row_suspect() -> None:
    assert rows_and_clears(suspects_in(rows([200, 2, 2.01, 2.02]))) == [(0, False)]


def test_mixed_units_with_a_lower_level() -> None:
    assert rows_and_clears(suspects_in(rows([200, 201, 2.01, 2.02]))) == [(2, False), (3, False)]


def test_a_jump_like_a_missing_split_never_clears() -> None:
    assert rows_and_clears(suspects_in(rows([100, 100, 50.5, 51], [100, 100, 50.2, 51]))) == [(2, False)]
    assert rows_and_clears(suspects_in(rows([100, 100, 66.8, 67], [100, 100, 66.5, 67]))) == [(2, False)]
    assert rows_and_clears(suspects_in(rows([10, 10, 99, 100], [10, 10, 101, 100]))) == [(2, False)]


def test_a_fall_to_a_half_with_another_open_is_not_a_split() -> None:
    assert rows_and_clears(suspects_in(rows([100, 100, 50.5, 51], [100, 100, 80, 51]))) == [(2, True)]


def test_without_an_open_only_a_close_ratio_is_a_split() -> None:
    assert rows_and_clears(suspects_in(rows([100, 100, 50.2], [100, 100, np.nan]))) == [(2, False)]
    assert rows_and_clears(suspects_in(rows([100, 100, 51.0], [100, 100, np.nan]))) == [(2, True)]


def test_an_action_explains_a_fall() -> None:
    table = rows([100, 100, 52, 53])
    special = Action(date(2024, 1, 3), ActionKind.DIVIDEND, 48.0)
    assert suspects_in(table, (special,)) == ()
    factor = Action(date(2024, 1, 3), ActionKind.FACTOR, 0.52)
    assert suspects_in(table, (factor,)) == ()
    split = Action(date(2024, 1, 3), ActionKind.SPLIT, 2.0)
    assert rows_and_clears(suspects_in(table, (split,))) == [
        (2, True)
    ]  # closes are on the newest basis, so a split changes nothing


def test_trusted_bars_are_never_suspect() -> None:
    assert suspects_in(rows([100, 101, 57, 58]), trusted=(2,)) == ()


def test_jumps_of_volatility_indices_are_usual() -> None:
    assert suspects_in(rows([17, 37, 36, 12]), kind=SeriesKind.VOLATILITY) == ()
    assert rows_and_clears(suspects_in(rows([17, 1700, 17]), kind=SeriesKind.VOLATILITY)) == [(1, False)]


@pytest.mark.parametrize("closes", [[], [5.0]])
def test_less_than_two_bars_are_never_suspect(closes: list[float]) -> None:
    assert suspects_in(rows(closes)) == ()


def test_the_days_between_bars_do_not_matter() -> None:
    table = rows([100, 101, 57])
    gapped = Rows(table.sessions + np.array([0, 1, 40]) * np.timedelta64(1, "D"), table.values)
    assert rows_and_clears(suspects_in(gapped)) == [(2, True)]


def traded(closes: list[float], volumes: list[float]) -> Rows:
    table = rows(closes, [100.0] * len(closes))  # an open that is no split ratio away
    table.values[:, 4] = volumes
    return table


def evidence(table: Rows, actions: tuple[Action, ...] = ()) -> tuple[bool, bool]:
    found = suspects_in(table, actions)[0]
    assert found.clears
    return found.traded, found.lasts


def test_a_crash_that_traded_and_lasts_can_be_confirmed() -> None:
    (found,) = suspects_in(traded([100, 101, 57, 58], [900, 1100, 5000, 2000]))
    assert (found.traded, found.lasts, found.is_confirmable) == (True, True, True)
    assert found.reason.endswith("without an action that explains it; a later pull with the same close clears it")


def test_a_jump_without_a_later_session_waits_for_one() -> None:
    assert evidence(traded([100, 101, 57], [900, 1100, 5000])) == (True, False)
    # A later session in which nothing was traded shows nothing.
    assert evidence(traded([100, 101, 57, 57, 57], [900, 1100, 5000, 0, np.nan])) == (True, False)


@pytest.mark.parametrize(
    ("volumes", "reason"),
    [
        ([900, 1100, 0, 2000], "nothing was traded"),
        ([900, 1100, np.nan, 2000], "nothing was traded"),
        ([900, 1100, 500, 2000], "its volume is 0.5 times the usual one"),
        ([0, 0, 500, 2000], "the symbol rarely trades"),
    ],
)
def test_a_jump_without_volume_is_never_confirmed(volumes: list[float], reason: str) -> None:
    (found,) = suspects_in(traded([100, 101, 57, 58], volumes))
    assert (found.clears, found.is_confirmable) == (True, False)
    assert found.reason.endswith(f"; {reason}; repetition does not confirm it")


def test_a_jump_that_reverses_is_never_confirmed() -> None:
    (found,) = suspects_in(traded([100, 101, 57, 103], [900, 1100, 5000, 2000]))
    assert (found.traded, found.is_confirmable) == (True, False)
    assert found.reason.endswith("2024-01-04 is back at the old level; repetition does not confirm it")


def test_a_jump_that_an_action_makes_is_never_confirmed() -> None:
    """A phantom spin-off: the close stands still, the factor of 0.65 makes a return of +43 %."""
    factor = Action(date(2024, 1, 3), ActionKind.FACTOR, 0.65)
    (found,) = suspects_in(traded([100, 101, 102, 103], [900, 1100, 5000, 2000]), (factor,))
    assert found.jump == pytest.approx(0.44063, abs=1e-5)  # ln(102 / 101 / 0.65)
    assert (found.traded, found.is_confirmable) == (False, False)
    assert "an action moves it, not the close" in found.reason


def test_what_comes_after_a_bar_does_not_change_whether_it_traded() -> None:
    whole = traded([100, 101, 57, 103, 20], [900, 1100, 5000, 0, 7])
    cut = Rows(whole.sessions[:3], whole.values[:3])
    assert suspects_in(cut)[0].traded is suspects_in(whole)[0].traded is True


@pytest.mark.parametrize(
    ("instrument_type", "is_volatility", "kind"),
    [
        ("EQUITY", False, "traded"),
        ("ETF", True, "traded"),
        ("INDEX", True, "volatility"),
        ("INDEX", False, "untraded"),
        ("CURRENCY", False, "untraded"),
        ("MUTUALFUND", False, "untraded"),
        ("CRYPTOCURRENCY", False, "traded"),
    ],
)
def test_the_kind_of_a_series_follows_its_type(instrument_type: str, is_volatility: bool, kind: str) -> None:
    assert series_kind(instrument_type, is_volatility).value == kind


@pytest.mark.parametrize(
    ("later", "lasts"),
    [
        ([800.0, 801.0, 805.0], True),  # the Argentine peso, 2023-12-13: 366 to 799 for a dollar
        ([800.0, 801.0], False),
        ([799.0, 799.0, 799.0], False),  # frozen
        ([800.0, 380.0, 381.0], False),
    ],
)
def test_a_currency_shows_a_jump_by_three_moving_closes(later: list[float], lasts: bool) -> None:
    closes = [366.0, 366.5, 799.0, *later]
    (found, *_) = suspects_in(traded(closes, [0.0] * len(closes)), kind=SeriesKind.UNTRADED)
    assert (found.row, found.clears, found.traded, found.lasts) == (2, True, True, lasts)


def long_history(changes: dict[int, float]) -> Rows:
    """Return 80 rows near 100, some closes (and opens) multiplied."""
    return rows([(100 + row % 3) * changes.get(row, 1.0) for row in range(80)])


@pytest.mark.parametrize("factor", [1e6, 7.3, 2.0, 0.5, 0.1])
def test_first_rows_at_another_level_than_a_long_history_are_suspect(factor: float) -> None:
    assert rows_and_clears(suspects_in(long_history({0: factor}))) == [(0, False)]
    assert rows_and_clears(suspects_in(long_history({0: factor, 1: factor, 2: factor}))) == [
        (0, False), (1, False), (2, False)
    ]  # fmt: skip


def test_the_first_rows_of_a_volatility_index_or_a_short_history_may_be_at_another_level() -> None:
    assert suspects_in(long_history({0: 1.7}), kind=SeriesKind.VOLATILITY) == ()
    assert rows_and_clears(suspects_in(rows([170, 100, 101, 102]))) == [(1, True)]


def test_first_rows_that_are_stored_are_not_suspect() -> None:
    found = suspects_in(long_history({0: 1.7}), trusted=(0,))
    assert [suspect.row for suspect in found] == [1]


def test_every_row_of_a_spike_is_suspect() -> None:
    found = suspects_in(long_history({40: 0.1, 41: 0.1, 42: 0.11}))
    assert [suspect.row for suspect in found] == [40, 41, 42]
    assert not any(suspect.is_confirmable for suspect in found)


def test_a_level_that_lasts_costs_one_bar_as_before() -> None:
    found = suspects_in(long_history(dict.fromkeys(range(40, 80), 0.55)))
    assert [suspect.row for suspect in found] == [40]


def test_a_row_of_a_spike_is_suspect_once() -> None:
    # row 3 is nearer to the old level, so that row 4 jumps again
    found = suspects_in(rows([100, 100, 157, 116, 182, 100, 101]))
    assert [suspect.row for suspect in found] == [2, 4]


def test_without_hindsight_later_rows_make_no_row_suspect() -> None:
    table = rows([100, 101, 60, 61, 100, 101])
    untrusted = np.zeros(6, bool)
    assert [suspect.row for suspect in find_suspects(table, (), untrusted)] == [2, 3]
    assert [suspect.row for suspect in find_suspects(table, (), untrusted, hindsight=False)] == [2, 4]
