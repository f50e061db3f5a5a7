"""Where the evidence for a recipe comes from: walk-forward folds at the end of the history.

Each fold is trained exactly as a served version is (fit, purge, stop, purge), then judged on the sessions that
follow; the next fold moves on by those sessions. Nothing of a fold's judging span, nor what is final after its
start, enters what is judged there.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from models.baselines import fit_random_walk, random_walk_config
from models.calibration import calibrated_after
from models.config import MIN_TRAINING_DATES, PURGE, VALIDATION_SESSIONS, ModelConfig
from models.errors import TooLittleHistory
from models.forecasting.ensemble import mean_over_seeds
from models.gate import Evidence
from models.preprocessing.frame import DateArray, Panel
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.splits import Spans, spans_between
from models.preprocessing.windows import PooledWindows
from models.training.fit import answered, fit_config
from models.training.fit_network import EpochEnd
from models.training.holdout import daily_losses

FOLDS = 2
"""Folds behind a judgement: each costs a training of all seeds."""

FOLD_SESSIONS = 126
"""Sessions judged in each fold; all folds together give `gate.MIN_SESSIONS` or more."""


def gather_evidence(
    panel: Panel, config: ModelConfig, cut_at: np.datetime64, report: Callable[[int, EpochEnd], None]
) -> Evidence:
    """Train a recipe on every fold and hold it beside the random walk, which is fitted up to each fold's judging.

    Args:
        panel: Frames and references; may reach beyond the cut.
        recipe: The recipe on trial.
        cut_at: datetime64[s] UTC, inclusive: only what is final by then is used.
        report: Called after each epoch with the place of the fold, from 0.

    Returns:
        Daily losses over all folds.

    Raises:
        TooLittleHistory: The pooled history is too short.
        UnknownNetwork: The recipe names a network that nobody registered.
    """
    parts: list[Evidence] = []
    for fold, spans in enumerate(evidence_spans(cut_windows(panel, config, require_targets=True), cut_at)):
        fitted = fit_config(panel, config, spans, partial(report, fold))
        walk = fit_random_walk(panel, random_walk_config(config.strategy), spans.validation_until)
        lead, before = answered(fitted, fitted.windows.select(spans.validation))
        judged, each = answered(fitted, fitted.windows.select(spans.test))
        # As both would be served: a random walk that is not calibrated would be too easy to beat.
        own = calibrated_after(lead, mean_over_seeds(before), judged, mean_over_seeds(each))
        other = calibrated_after(lead, walk.at(lead.sigma), judged, walk.at(judged.sigma))
        parts.append(daily_losses(judged, own, other))
    together = parts[0]
    for part in parts[1:]:
        together = together.with_later(part)
    return together


def evidence_spans(windows: PooledWindows, cut_at: np.datetime64) -> tuple[Spans, ...]:
    """The folds whose judging spans are the last `FOLDS * FOLD_SESSIONS` dates known by an instant.

    Args:
        windows: Pooled windows; those with a target unknown or not final by the cut are left out.
        cut_at: datetime64[s] UTC, inclusive.

    Returns:
        `FOLDS` spans, the oldest first; their judging spans follow each other without a gap.

    Raises:
        TooLittleHistory: Fewer than `specs.MIN_TRAINING_DATES` distinct as_of dates remain.
    """
    known = windows.target_final_at.max(axis=1) <= cut_at
    dates = np.unique(windows.as_of[known])
    if len(dates) < MIN_TRAINING_DATES:
        raise TooLittleHistory(
            f"{len(dates)} distinct as_of dates have their targets by {cut_at}; judging a recipe needs "
            f"{MIN_TRAINING_DATES}, so pull more history or add symbols with longer ones"
        )
    # The masks must fit the windows handed in, so what is not known yet is blotted out and not left out.
    never = np.where(known[:, None], windows.target_final_at, np.datetime64("NaT"))
    windows = replace(windows, target_final_at=never)
    return tuple(_fold(windows, dates, len(dates) - FOLD_SESSIONS * back) for back in range(FOLDS, 0, -1))


def _fold(windows: PooledWindows, dates: DateArray, start: int) -> Spans:
    """The fold whose judging span begins at `dates[start]`."""
    stop = start - PURGE - VALIDATION_SESSIONS
    return spans_between(
        windows,
        (dates[0], dates[stop - PURGE - 1]),
        (dates[stop], dates[start - PURGE - 1]),
        (dates[start], dates[start + FOLD_SESSIONS - 1]),
    )
