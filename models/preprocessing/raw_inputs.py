"""The unscaled inputs of symbols, and the order of their columns."""

from collections.abc import Iterator

import numpy as np

from models.config import Inputs, Reference
from models.preprocessing.extended_features import EXTENDED_FEATURES, CycleScores, extended_features
from models.preprocessing.features import OWN_FEATURES, own_features
from models.preprocessing.price_history import Bars, FloatArray, Panel, PriceHistory
from models.preprocessing.reference_join import ReferenceTable, join, reference_names


def _own_names(inputs: Inputs) -> tuple[str, ...]:
    """Return the names of the columns from a symbol's own bars."""
    return OWN_FEATURES if inputs is Inputs.CORE else OWN_FEATURES + EXTENDED_FEATURES


def input_names(references: tuple[Reference, ...], inputs: Inputs) -> tuple[str, ...]:
    """Return the names of the input columns."""
    return _own_names(inputs) + tuple(name for reference in references for name in reference_names(reference, inputs))


def mask_columns_of(references: tuple[Reference, ...], inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Return the columns of each reference, the mask channel last."""
    columns: list[tuple[int, ...]] = []
    start = len(_own_names(inputs))
    for reference in references:
        width = len(reference_names(reference, inputs))
        columns.append(tuple(range(start, start + width)))
        start += width
    return tuple(columns)


def panel_raw_inputs(
    panel: Panel, tables: tuple[ReferenceTable, ...], inputs: Inputs
) -> list[tuple[FloatArray, FloatArray]]:
    """Return `raw_inputs` of every history of a panel.

    The inputs are parts of one array: the system gets its memory back in one piece, unlike that of many small arrays.
    """
    block = np.empty((panel.bars, len(input_names(tuple(table.reference for table in tables), inputs))))
    raw: list[tuple[FloatArray, FloatArray]] = []
    start = 0
    for history in panel.histories:
        own = block[start : start + len(history)]
        own[:], sigma = raw_inputs(history, tables, inputs)
        raw.append((own, sigma))
        start += len(history)
    return raw


def raw_inputs(
    history: PriceHistory, tables: tuple[ReferenceTable, ...], inputs: Inputs
) -> tuple[FloatArray, FloatArray]:
    """Return `(n, features)` unscaled inputs of a symbol, NaN where unknown, and its `(n,)` sigma."""
    columns, sigma = own_columns(history, inputs)
    return np.column_stack([*columns, *(join(table, history.final_at, sigma) for table in tables)]), sigma


def own_columns(
    history: Bars, inputs: Inputs, newest: int | None = None, scores: CycleScores | None = None
) -> tuple[list[FloatArray], FloatArray]:
    """Return the unscaled inputs from a symbol's own bars in parts, and its sigma; see `own_features` for `newest`."""
    own, sigma = own_features(history, newest)
    return [own] if inputs is Inputs.CORE else [own, extended_features(history, sigma, newest, scores)], sigma


def consumed(raw: list[tuple[FloatArray, FloatArray]]) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the inputs of each symbol in order; its memory is freed with the next one."""
    raw.reverse()
    while raw:
        yield raw.pop()
