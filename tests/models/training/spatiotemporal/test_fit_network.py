"""Spatiotemporal networks from request to artifact and back to forecasts; they train in seconds."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from models.config import Inputs, ModelConfig, Schedule, Strategy, Weighting
from models.errors import ArtifactError, PriceHistoryError
from models.forecasting.artifact import Artifact, load_artifact, save_artifact
from models.forecasting.network_forecaster import load_forecaster
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster
from models.metrics.scoring_rules import pinball
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import holdout_spans
from models.training.fit import fit_config
from models.training.fit_seed import EpochEnd
from models.training.refit_check import Predecessor
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork, fit_spatiotemporal
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest, train
from tests.support.factories import SPY, VIX, after, known_at, make_frame, make_panel, with_changes

SESSIONS = 1300
BASE = make_panel(SESSIONS, seed=3, symbols=("AAA", "BBB", "CCC"))
# DDD begins midway, CCC has a hole in the validation span and BBB in the test span: some cells are masked.
PANEL = Panel(
    (*BASE.histories, make_frame("DDD", SESSIONS, 77).slice(500, SESSIONS)),
    BASE.references,
)
PANEL.histories[1].close[1100] = np.nan
PANEL.histories[2].close[900] = np.nan
CUT_AT = PANEL.histories[0].final_at[-40]
CONFIG = ModelConfig(
    "conv_lstm", Strategy.MULTI_STEP, references=(SPY, VIX), units=8, seeds=(5,), max_epochs=2, batch_size=128
)
NEW_YORK = ("AAA", "BBB", "CCC", "DDD")


def ignore(progress: TrainProgress) -> None:
    """Ignore progress."""


def panel_known_at(panel: Panel, instant: np.datetime64) -> Panel:
    return Panel(
        tuple(known_at(frame, instant) for frame in panel.histories),
        {symbol: known_at(frame, instant) for symbol, frame in panel.references.items()},
    )


@dataclass
class Trained:
    artifact: TrainedArtifact
    forecaster: SpatiotemporalForecaster


def train_one(config: ModelConfig, folder: Path, panel: Panel = PANEL) -> Trained:
    artifact = train(TrainRequest(panel, config, CUT_AT, folder), ignore)
    forecaster = load_forecaster(artifact.path, artifact.sha256)
    assert isinstance(forecaster, SpatiotemporalForecaster)
    return Trained(artifact, forecaster)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_one(CONFIG, tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def fitted() -> tuple[FittedSpatiotemporalNetwork, list[EpochEnd]]:
    spans = holdout_spans(cut_windows(PANEL, CONFIG, require_targets=True), CUT_AT)
    ended: list[EpochEnd] = []
    network = fit_config(PANEL, CONFIG, spans, ended.append)
    assert isinstance(network, FittedSpatiotemporalNetwork)
    return network, ended


@pytest.mark.parametrize(
    ("row", "symbols"),
    [
        (700, ("AAA", "BBB", "CCC")),
        (890, NEW_YORK),
        (902, ("AAA", "BBB", "DDD")),
        (1101, ("AAA", "CCC", "DDD")),
        (1240, NEW_YORK),
    ],
)
def test_served_forecasts_equal_the_backtest(
    fitted: tuple[FittedSpatiotemporalNetwork, list[EpochEnd]], row: int, symbols: tuple[str, ...]
) -> None:
    # At row 700 DDD has 201 bars: too few for a forecast, enough to be an input of the others.
    windows = fitted[0].with_row(fitted[0].windows)
    backtest = fitted[0].quantiles(windows)
    known = panel_known_at(PANEL, PANEL.histories[0].final_at[row])
    served = fitted[0].forecaster.forecast(known)
    assert served.symbols == symbols
    for position, symbol in enumerate(symbols):
        index = [frame.symbol for frame in PANEL.histories].index(symbol)
        frame = known.histories[index]
        at = np.flatnonzero((windows.symbol_index == index) & (windows.as_of == frame.sessions[-1]))
        np.testing.assert_allclose(served.quantiles[position], backtest[at[0]], atol=1e-7, rtol=1e-5)
        assert served.last_close[position] == frame.close[-1]


def test_saved_and_loaded_equals_the_forecaster_in_memory(
    trained: Trained, fitted: tuple[FittedSpatiotemporalNetwork, list[EpochEnd]], tmp_path: Path
) -> None:
    kept = fitted[0].forecaster
    loaded = load_forecaster(*save_artifact(Artifact(CONFIG, kept.pipeline.to_dict(), kept.weights, {}), tmp_path))
    known = panel_known_at(PANEL, CUT_AT)
    np.testing.assert_array_equal(loaded.forecast(known).quantiles, kept.forecast(known).quantiles)
    # Trained a second time from the same panel and seed, it is the same except for rounding.
    np.testing.assert_allclose(
        trained.forecaster.forecast(known).quantiles, kept.forecast(known).quantiles, atol=1e-5, rtol=1e-3
    )


def test_a_symbol_with_a_hole_is_skipped_and_the_others_are_served(trained: Trained) -> None:
    known = panel_known_at(PANEL, PANEL.histories[0].final_at[1102])
    batch = trained.forecaster.forecast(known)
    assert batch.symbols == ("AAA", "CCC", "DDD")
    reasons = {refusal.symbol: refusal.reason for refusal in batch.skipped}
    assert "is missing from the window" in reasons["BBB"]
    assert np.isfinite(batch.quantiles).all()
    assert (np.diff(batch.quantiles, axis=-1) >= 0).all()


def test_new_symbols_and_other_calendars_are_skipped_with_a_reason(trained: Trained) -> None:
    known = panel_known_at(PANEL, CUT_AT)
    new = known_at(make_frame("NEW", SESSIONS, 9), CUT_AT)
    batch = trained.forecaster.forecast(Panel((new, *known.histories), known.references))
    assert batch.symbols == NEW_YORK
    assert [each.symbol for each in batch.skipped] == ["NEW", "7203.T"]
    assert "new since the conv_lstm was trained, which has no row for it" in batch.skipped[0].reason
    assert "trades on XTKS" in batch.skipped[1].reason
    # The forecasts of the others are the same as without them.
    alone = trained.forecaster.forecast(known)
    np.testing.assert_array_equal(alone.quantiles, batch.quantiles)


def test_a_panel_without_a_forecast_gives_only_reasons(trained: Trained) -> None:
    batch = trained.forecaster.forecast(Panel((make_frame("NEW", 400, 9),)))
    assert (batch.symbols, batch.quantiles.shape, len(batch.skipped)) == ((), (0, 3, 7), 1)


def test_an_absent_symbol_is_masked_and_changes_the_other_forecasts(trained: Trained) -> None:
    known = panel_known_at(PANEL, CUT_AT)
    without = Panel(tuple(frame for frame in known.histories if frame.symbol != "AAA"), known.references)
    batch = trained.forecaster.forecast(without)
    assert batch.symbols == ("BBB", "CCC", "DDD")
    assert not np.allclose(batch.quantiles, trained.forecaster.forecast(known).quantiles[1:], atol=1e-7)


def test_a_masked_reference_degrades_and_does_not_block(trained: Trained) -> None:
    known = panel_known_at(PANEL, CUT_AT)
    batch = trained.forecaster.forecast(Panel(known.histories, {"SPY": known.references["SPY"]}))
    assert batch.degraded == (("^VIX",),) * 4


def test_data_after_the_cut_changes_nothing(trained: Trained, tmp_path: Path) -> None:
    changed = Panel(
        tuple(with_changes(frame, after(frame, CUT_AT), seed=1) for frame in PANEL.histories),
        {symbol: with_changes(frame, after(frame, CUT_AT), seed=2) for symbol, frame in PANEL.references.items()},
    )
    again = train_one(CONFIG, tmp_path, changed)
    known = panel_known_at(PANEL, CUT_AT)
    assert again.forecaster.pipeline == trained.forecaster.pipeline
    np.testing.assert_allclose(
        again.forecaster.forecast(known).quantiles, trained.forecaster.forecast(known).quantiles, atol=1e-5, rtol=1e-3
    )
    assert again.artifact.metrics["pinball"] == pytest.approx(trained.artifact.metrics["pinball"], rel=1e-4)


def test_the_validation_loss_is_the_masked_sigma_weighted_pinball(
    fitted: tuple[FittedSpatiotemporalNetwork, list[EpochEnd]],
) -> None:
    network, ended = fitted
    spans = holdout_spans(cut_windows(PANEL, CONFIG, require_targets=True), CUT_AT)
    validation = network.with_row(network.windows.select(spans.validation))
    scaled = network.quantiles(validation) / (validation.sigma[:, None] * np.sqrt([1, 2, 3]))[:, :, None]
    losses = pinball(validation.targets, scaled).mean(axis=1)
    again = (losses * validation.sigma / validation.sigma.mean()).mean()
    assert again == pytest.approx(min(end.val_loss for end in ended), rel=1e-4)


def test_the_test_covers_the_symbols_with_a_row(trained: Trained) -> None:
    metrics = trained.artifact.metrics
    # 252 dates of four New York symbols, minus BBB's hole: no target over it 3 times, no window 5 times.
    assert metrics["n"] == 4 * 252 - 8
    assert -0.25 < metrics["skill"] < 0.03
    assert len(metrics["val_loss"]) == 1


@pytest.mark.parametrize("name", ["conv3d_lstm", "conv3d_lstm_variational", "conv3d_lstm_per_frame"])
def test_every_variant_trains_and_serves_the_mean_of_its_seeds(name: str, tmp_path: Path) -> None:
    config = replace(CONFIG, forecaster=name, strategy=Strategy.ONE_STEP, seeds=(1, 2), max_epochs=1)
    one = train_one(config, tmp_path)
    known = panel_known_at(PANEL, CUT_AT)
    batch = one.forecaster.forecast(known)
    assert batch.quantiles.shape == (4, 1, 7)
    each = [
        SpatiotemporalForecaster(replace(config, seeds=(seed,)), one.forecaster.pipeline, {seed: weights}).forecast(
            known
        )
        for seed, weights in one.forecaster.weights.items()
    ]
    np.testing.assert_allclose(batch.quantiles, (each[0].quantiles + each[1].quantiles) / 2, atol=1e-12)
    assert not np.allclose(each[0].quantiles, each[1].quantiles)


def test_a_refit_is_compared_with_its_predecessor(trained: Trained, tmp_path: Path) -> None:
    former = trained.artifact
    refit = train(TrainRequest(PANEL, CONFIG, CUT_AT, tmp_path, False, Predecessor(former.path, former.sha256)), ignore)
    comparison = refit.metrics["predecessor"]
    assert 0.9 * refit.metrics["n"] < comparison["n"] < refit.metrics["n"]
    # The same cut and seed give the same network.
    assert comparison["predecessor_pinball"] == pytest.approx(comparison["pinball"], rel=1e-6)


def test_a_refit_from_served_weights_says_so_and_takes_a_fifth_of_the_epochs(trained: Trained, tmp_path: Path) -> None:
    former = Predecessor(trained.artifact.path, trained.artifact.sha256, 4)
    refit = train(TrainRequest(PANEL, CONFIG, CUT_AT, tmp_path, start_from=former), ignore)
    assert refit.metrics["started_from"] == 4
    assert refit.metrics["epochs"] == [1]
    earlier = train(TrainRequest(PANEL, CONFIG, PANEL.histories[0].final_at[-60], tmp_path, start_from=former), ignore)
    assert "started_from" not in earlier.metrics
    assert earlier.metrics["epochs"] == [2]


def test_served_weights_keep_their_rows_and_are_not_used_for_other_symbols(trained: Trained) -> None:
    served = load_artifact(trained.artifact.path, trained.artifact.sha256)
    spans = holdout_spans(cut_windows(PANEL, CONFIG, require_targets=True), CUT_AT)
    calendar, fitted_rows = trained.forecaster.pipeline.layout.calendar, trained.forecaster.pipeline.layout.symbols
    cases = ((fitted_rows[::-1], True, fitted_rows[::-1]), (("AAA", "BBB", "CCC", "ZZZ"), False, fitted_rows))
    for symbols, is_warm, expected in cases:
        layout = {"calendar": calendar, "symbols": list(symbols)}
        start = replace(served, pipeline={**served.pipeline, "layout": layout})
        network = fit_spatiotemporal(PANEL, CONFIG, spans, lambda end: None, start)
        assert (network.is_warm, network.forecaster.pipeline.layout.symbols) == (is_warm, expected)


def test_noise_in_training_comes_from_the_seed(tmp_path: Path) -> None:
    config = replace(CONFIG, forecaster="conv3d_lstm_variational", seeds=(1,), max_epochs=1)
    first, again = train_one(config, tmp_path / "first"), train_one(config, tmp_path / "again")
    for name, array in first.forecaster.weights[1].items():
        np.testing.assert_allclose(array, again.forecaster.weights[1][name], atol=1e-3)


def test_artifacts_whose_parts_do_not_match_are_refused(trained: Trained, tmp_path: Path) -> None:
    artifact = load_artifact(trained.artifact.path, trained.artifact.sha256)
    plain = {name: value for name, value in artifact.pipeline.items() if name != "layout"}
    with pytest.raises(ArtifactError, match="no market layout"):
        load_forecaster(*save_artifact(replace(artifact, pipeline=plain), tmp_path))
    wider = {**artifact.pipeline, "lookback": 5}
    weights = {5: {**artifact.weights[5], "conv_lstm.0": artifact.weights[5]["conv_lstm.0"][:, :, 1:]}}
    with pytest.raises(ArtifactError, match="do not fit frames of"):
        load_forecaster(*save_artifact(replace(artifact, pipeline=wider, weights=weights), tmp_path))
    with pytest.raises(ArtifactError, match=r"seeds \[5, 6\], the weights \[5\]"):
        SpatiotemporalForecaster(replace(CONFIG, seeds=(5, 6)), trained.forecaster.pipeline, trained.forecaster.weights)


def test_the_options_of_a_tuned_config_apply_to_spatiotemporal_networks_too(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        inputs=Inputs.EXTENDED,
        weighting=Weighting.EVEN,
        schedule=Schedule.COSINE,
        patience=8,
        median_share=0.0,
        seeds=(1,),
    )
    spans = holdout_spans(cut_windows(PANEL, config, require_targets=True), CUT_AT)
    ended: list[EpochEnd] = []
    fitted = fit_config(PANEL, config, spans, ended.append)
    assert isinstance(fitted, FittedSpatiotemporalNetwork)
    windows = fitted.with_row(fitted.windows)
    scaled = fitted.quantiles(windows)[..., 3] / (windows.sigma[:, None] * np.sqrt([1, 2, 3]))
    # With a share of 0 every median is that of the training targets.
    medians = np.median(fitted.with_row(fitted.windows.select(spans.train)).targets, axis=0)
    np.testing.assert_allclose(scaled, np.broadcast_to(medians, scaled.shape), atol=1e-6)
    known = panel_known_at(PANEL, CUT_AT)
    one = train_one(config, tmp_path)
    np.testing.assert_allclose(
        one.forecaster.forecast(known).quantiles, fitted.forecaster.forecast(known).quantiles, atol=1e-5, rtol=1e-3
    )


def test_spans_of_another_panel_are_refused() -> None:
    spans = holdout_spans(cut_windows(PANEL, CONFIG, require_targets=True), CUT_AT)
    with pytest.raises(PriceHistoryError, match="cut them on the same panel"):
        fit_spatiotemporal(Panel(PANEL.histories[:2], PANEL.references), CONFIG, spans, lambda end: None)
