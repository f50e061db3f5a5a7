"""Join of reference series to the sessions of a symbol, by instant and never by date."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.config import Inputs, Reference, ReferenceRole
from models.preprocessing.extended_features import INDEX_FEATURES, index_features
from models.preprocessing.features import REFERENCE_FEATURES, reference_features
from models.preprocessing.price_history import DateArray, FloatArray, PriceHistory
from models.preprocessing.windows import IntArray


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """The values of one reference series on its own grid.

    Attributes:
        reference: The series and its role.
        final_at: `(n,)` datetime64[s], UTC instant at which each of its sessions is final, ascending.
        values: `(n, k)` unscaled values, NaN where unknown; `n` is 0 where the series is absent. The first are the
            core inputs of the role, which decide whether a session is present; the others may be unknown there.
    """

    reference: Reference
    final_at: DateArray
    values: FloatArray


def reference_names(reference: Reference, inputs: Inputs = Inputs.CORE) -> tuple[str, ...]:
    """Return the names of a reference's input columns: its values, then its mask channel, always last."""
    names = REFERENCE_FEATURES[reference.role]
    if reference.role is ReferenceRole.VOLATILITY:
        names = (*names, "own_log_sigma_less_log_level", *(INDEX_FEATURES if inputs is Inputs.EXTENDED else ()))
    return tuple(f"{reference.symbol}.{name}" for name in (*names, "present"))


def reference_tables(
    references: tuple[Reference, ...], histories: Mapping[str, PriceHistory], inputs: Inputs = Inputs.CORE
) -> tuple[ReferenceTable, ...]:
    """Compute the values of each reference once for a whole panel.

    Args:
        references: References of the model config, in input order.
        histories: Histories of reference series by symbol. Each must have a row for each open session of its
            calendar up to now, NaN where the bar has not arrived: the newest row is the newest expected session.
        inputs: Set of inputs that the values are for.

    Returns:
        One table per reference; an absent series gives an empty one.
    """
    tables = []
    for reference in references:
        history = histories.get(reference.symbol)
        with_index = inputs is Inputs.EXTENDED and reference.role is ReferenceRole.VOLATILITY
        if history is None:
            width = len(REFERENCE_FEATURES[reference.role]) + (len(INDEX_FEATURES) if with_index else 0)
            tables.append(ReferenceTable(reference, np.empty(0, "datetime64[s]"), np.empty((0, width))))
        else:
            values = reference_features(history, reference.role)
            if with_index:
                values = np.column_stack((values, index_features(history)))
            tables.append(ReferenceTable(reference, history.final_at, values))
    return tuple(tables)


def newest_rows(reference_final_at: DateArray, own_final_at: DateArray) -> IntArray:
    """Return, for each session of a symbol, the row of the newest reference session that is final by then.

    Args:
        reference_final_at: `(m,)` datetime64[s] UTC, ascending.
        own_final_at: `(n,)` datetime64[s] UTC.

    Returns:
        `(n,)` rows with `reference_final_at[row] <= own_final_at` (equal instants count); -1 where none.
    """
    return np.searchsorted(reference_final_at, own_final_at, side="right").astype(np.int64) - 1


def join(table: ReferenceTable, own_final_at: DateArray, own_sigma: FloatArray) -> FloatArray:
    """Return the input columns of a reference for the sessions of one symbol.

    Only the newest expected session counts: where its bar is absent the input is masked, and an older value never
    replaces it. A volatility index adds the log of the symbol's sigma minus its own log level.

    Args:
        table: The reference on its own grid.
        own_final_at: `(n,)` datetime64[s] UTC of the symbol's sessions.
        own_sigma: `(n,)` sigma of the symbol.

    Returns:
        `(n, k + 1)`, or `(n, k + 2)` for a volatility index, in the order of `reference_names`: values, NaN where
        masked, and last the mask channel, 1 where present and 0 where masked.
    """
    values = _joined_values(table, own_final_at)
    core = len(REFERENCE_FEATURES[table.reference.role])
    present = ~np.isnan(values[:, :core]).any(axis=1)
    values[~present] = np.nan
    columns = [values[:, :core]]
    if table.reference.role is ReferenceRole.VOLATILITY:
        columns.append((np.log(own_sigma) - values[:, 0])[:, None])
    return np.column_stack([*columns, values[:, core:], present.astype(np.float64)])


def masked(table: ReferenceTable, own_final_at: DateArray) -> bool:
    """Return whether the reference is masked at any of a symbol's sessions, given by their instants."""
    core = len(REFERENCE_FEATURES[table.reference.role])
    return bool(np.isnan(_joined_values(table, own_final_at)[:, :core]).any())


def _joined_values(table: ReferenceTable, own_final_at: DateArray) -> FloatArray:
    """Return `(n, k)` values of the newest expected reference session, NaN where there is none."""
    rows = newest_rows(table.final_at, own_final_at)
    values = np.full((len(rows), table.values.shape[1]), np.nan)
    values[rows >= 0] = table.values[rows[rows >= 0]]
    return values
