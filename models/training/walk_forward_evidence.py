"""Evidence for a model config: walk-forward folds at the end of the history.

Each fold is trained exactly as a served version (train, purge, validation, purge), then tested on the sessions that
follow. The next fold moves forward by those sessions. Nothing of a fold's test span, and nothing that is final after
its start, enters the forecasts that are tested there.
"""

import gc
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
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import DateArray, Panel
from models.preprocessing.splits import Spans, spans_between
from models.preprocessing.windows import PooledWindows
from models.training.fit import SpansFit, fit_here, forecast_windows
from models.training.fit_seed import EpochEnd
from models.training.holdout import daily_losses

FOLDS = 2
"""Folds per test of a config: each costs a training of all seeds."""

FOLD_SESSIONS = 126
"""Test sessions of each fold; all folds together give `gate.MIN_SESSIONS` or more."""


def gather_evidence(
    panel: Panel,
    config: ModelConfig,
    cut_at: np.datetime64,
    report: Callable[[int, EpochEnd], None],
    fit: SpansFit = fit_here,
) -> Evidence:
    """Train a config on each fold and compare it with the random walk, fitted up to the fold's test span.

    Args:
        panel: Price histories and references; may reach beyond the cut.
        config: The config to test.
        cut_at: datetime64[s] UTC, inclusive: only what is final by then is used.
        report: Called after each epoch with the position of the fold, from 0.
        fit: How the network is fitted on the spans of a fold.

    Returns:
        Daily losses over all folds.

    Raises:
        TooLittleHistory: The pooled history is too short.
        UnknownNetwork: The network of the config is not registered.
    """
    parts: list[Evidence] = []
    for fold, spans in enumerate(evidence_spans(cut_windows(panel, config, require_targets=True), cut_at)):
        fitted = fit(panel, config, spans, partial(report, fold), None, fold)
        walk = fit_random_walk(panel, random_walk_config(config.strategy), spans.validation_until)
        validation, validation_seeds = forecast_windows(fitted, fitted.windows.select(spans.validation))
        test, test_seeds = forecast_windows(fitted, fitted.windows.select(spans.test))
        # Both are calibrated as they would be served: an uncalibrated random walk would be too easy to beat.
        network = calibrated_after(validation, mean_over_seeds(validation_seeds), test, mean_over_seeds(test_seeds))
        random_walk = calibrated_after(validation, walk.at(validation.sigma), test, walk.at(test.sigma))
        parts.append(daily_losses(test, network, random_walk))
        del fitted, validation, test  # the windows of millions of bars: the next fold has its own
        gc.collect()
    evidence = parts[0]
    for part in parts[1:]:
        evidence = evidence.with_later(part)
    return evidence


def evidence_spans(windows: PooledWindows, cut_at: np.datetime64) -> tuple[Spans, ...]:
    """Return the folds whose test spans are the last `FOLDS * FOLD_SESSIONS` dates known by an instant.

    Args:
        windows: Pooled windows; those with a target that is unknown or not final by the cut are left out.
        cut_at: datetime64[s] UTC, inclusive.

    Returns:
        `FOLDS` spans, the oldest first; their test spans follow each other without a gap.

    Raises:
        TooLittleHistory: Fewer than `config.MIN_TRAINING_DATES` distinct as_of dates remain.
    """
    known = windows.target_final_at.max(axis=1) <= cut_at
    dates = np.unique(windows.as_of[known])
    if len(dates) < MIN_TRAINING_DATES:
        raise TooLittleHistory(
            f"{len(dates)} distinct as_of dates have final targets by {cut_at}; the test of a model config needs "
            f"{MIN_TRAINING_DATES}; pull more history or add symbols with longer histories"
        )
    # The masks must match the given windows, so unknown targets are blanked instead of left out.
    known_final_at = np.where(known[:, None], windows.target_final_at, np.datetime64("NaT"))
    windows = replace(windows, target_final_at=known_final_at)
    return tuple(_fold(windows, dates, len(dates) - FOLD_SESSIONS * back) for back in range(FOLDS, 0, -1))


def _fold(windows: PooledWindows, dates: DateArray, start: int) -> Spans:
    """Return the fold whose test span begins at `dates[start]`."""
    validation = start - PURGE - VALIDATION_SESSIONS
    return spans_between(
        windows,
        (dates[0], dates[validation - PURGE - 1]),
        (dates[validation], dates[start - PURGE - 1]),
        (dates[start], dates[start + FOLD_SESSIONS - 1]),
    )
