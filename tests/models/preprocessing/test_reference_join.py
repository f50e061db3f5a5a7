"""Join of references by instant: the newest expected session that is final, or a mask."""

import numpy as np
import pytest

from models.config import Inputs
from models.preprocessing.reference_join import (
    ReferenceTable,
    join,
    masked,
    newest_rows,
    reference_names,
    reference_tables,
)
from tests.support.factories import SPY, VIX, frame_of_closes, make_frame


def instants(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


NEW_YORK = instants("2024-07-01T21:30", "2024-07-02T21:30", "2024-07-03T18:30", "2024-07-05T21:30")


def level_table(*levels: float) -> ReferenceTable:
    return ReferenceTable(VIX, NEW_YORK, np.array(levels)[:, None])


@pytest.mark.parametrize(
    ("own", "row"),
    [
        ("2024-07-01T07:30", -1),  # Tokyo's Monday ends before New York's
        ("2024-07-02T07:30", 0),  # Tokyo's Tuesday uses New York's Monday
        ("2024-07-02T21:29:59", 0),
        ("2024-07-02T21:30", 1),  # the same instant counts
        ("2024-07-03T18:30", 2),  # a half day is final earlier
        ("2024-07-05T07:30", 2),  # across New York's holiday
    ],
)
def test_newest_row_by_instant(own: str, row: int) -> None:
    assert newest_rows(NEW_YORK, instants(own)).tolist() == [row]


def test_a_missing_bar_of_the_newest_session_is_masked_never_replaced() -> None:
    table = level_table(2.5, float("nan"), 2.7, 2.8)
    joined = join(table, instants("2024-07-02T07:30", "2024-07-03T07:30", "2024-07-04T07:30"), np.full(3, 0.01))
    np.testing.assert_allclose(joined[0], [2.5, -4.605170186 - 2.5, 1.0], rtol=1e-9)
    assert np.isnan(joined[1, :2]).all()
    assert joined[1, 2] == 0
    assert joined[2, 0] == 2.7


def test_an_absent_reference_is_masked_everywhere() -> None:
    tables = reference_tables((SPY, VIX), {"SPY": make_frame("SPY", 100, 1)})
    own = make_frame("AAA", 100, 2)
    market, volatility = (join(table, own.final_at, np.full(100, 0.01)) for table in tables)
    assert market.shape == volatility.shape == (100, 3)
    assert market[:, 2].tolist() == [0.0] * 59 + [1.0] * 41
    assert volatility[:, 2].tolist() == [0.0] * 100
    assert masked(tables[1], own.final_at[-5:])
    assert not masked(tables[0], own.final_at[-5:])


def test_market_after_its_own_hole_is_masked_for_one_more_session() -> None:
    close = 100 * np.exp(0.01 * (np.arange(100) % 2))
    close[90] = np.nan
    (table,) = reference_tables((SPY,), {"SPY": frame_of_closes(close, "SPY")})
    present = join(table, table.final_at, np.full(100, 0.01))[:, -1]
    assert np.flatnonzero(present == 0).tolist() == [*range(59), 90, 91]


def test_reference_names_end_with_the_mask_channel() -> None:
    assert reference_names(SPY) == ("SPY.return", "SPY.log_sigma", "SPY.present")
    assert reference_names(VIX) == ("^VIX.log_level", "^VIX.own_log_sigma_less_log_level", "^VIX.present")
    assert reference_names(SPY, Inputs.EXTENDED) == reference_names(SPY)
    assert reference_names(VIX, Inputs.EXTENDED)[2:] == (
        "^VIX.change_1",
        "^VIX.change_5",
        "^VIX.less_mean_22",
        "^VIX.less_mean_66",
        "^VIX.present",
    )


def test_an_index_without_a_past_is_present_and_its_change_unknown() -> None:
    close = np.full(100, 20.0)
    close[97] = np.nan
    (table,) = reference_tables((VIX,), {"^VIX": frame_of_closes(close, "^VIX")}, Inputs.EXTENDED)
    joined = join(table, table.final_at, np.full(100, 0.01))
    assert joined.shape == (100, len(reference_names(VIX, Inputs.EXTENDED)))
    assert joined[96:, -1].tolist() == [1, 0, 1, 1]
    assert np.isnan(joined[97, :-1]).all()
    # the session after the hole: no change over one session, but its means are known
    assert np.isnan(joined[98, 2:-1]).tolist() == [True, False, False, False]
    assert joined[98, 3:-1].tolist() == pytest.approx([0, 0, 0], abs=1e-12)
    assert not masked(table, table.final_at[-2:])
    assert masked(table, table.final_at[-3:])


def test_an_absent_index_is_masked_in_all_columns() -> None:
    (table,) = reference_tables((VIX,), {}, Inputs.EXTENDED)
    joined = join(table, make_frame("AAA", 10, 1).final_at, np.full(10, 0.01))
    assert joined.shape == (10, 7)
    assert np.isnan(joined[:, :-1]).all()
    assert joined[:, -1].tolist() == [0] * 10
