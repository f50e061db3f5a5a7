"""From request to tested artifact and back to forecasts, with a network that trains in a second."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from models.baselines import RandomWalk, fit_random_walk, random_walk_config
from models.config import ModelConfig, Strategy
from models.data_hash import panel_hash
from models.errors import ArtifactError, TooLittleHistory
from models.forecasting.artifact import load_artifact, save_artifact
from models.forecasting.network_forecaster import NetworkForecaster, load_forecaster
from models.metrics.scoring_rules import pinball
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import holdout_spans
from models.training.fit_network import fit_network
from models.training.fit_seed import EpochEnd
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest, train, train_all
from tests.support.factories import SPY, VIX, after, known_at, make_frame, make_panel, with_changes

SESSIONS = 1300
PANEL = make_panel(SESSIONS, seed=3)
CUT_AT = PANEL.histories[0].final_at[-40]
CONFIG = ModelConfig(
    "lstm", Strategy.MULTI_STEP, references=(SPY, VIX), units=4, seeds=(5,), max_epochs=2, batch_size=512
)


def ignore(progress: TrainProgress) -> None:
    """Ignore progress; top-level, so that it can be passed to a spawned child."""


@dataclass
class Trained:
    """One artifact and the progress that its training reported."""

    artifact: TrainedArtifact
    forecaster: NetworkForecaster
    progress: list[TrainProgress]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    progress: list[TrainProgress] = []
    artifact = train(TrainRequest(PANEL, CONFIG, CUT_AT, tmp_path_factory.mktemp("artifacts")), progress.append)
    forecaster = load_forecaster(artifact.path, artifact.sha256)
    assert isinstance(forecaster, NetworkForecaster)
    return Trained(artifact, forecaster, progress)


def panel_known_at(panel: Panel, instant: np.datetime64) -> Panel:
    return Panel(
        tuple(known_at(frame, instant) for frame in panel.histories),
        {symbol: known_at(frame, instant) for symbol, frame in panel.references.items()},
    )


def with_another_future(panel: Panel, instant: np.datetime64) -> Panel:
    return Panel(
        tuple(with_changes(frame, after(frame, instant), seed=1) for frame in panel.histories),
        {symbol: with_changes(frame, after(frame, instant), seed=2) for symbol, frame in panel.references.items()},
    )


def test_served_forecasts_equal_the_backtest(trained: Trained) -> None:
    windows = trained.forecaster.pipeline.windows(PANEL, require_targets=False)
    backtest = trained.forecaster.quantiles(windows)
    for instant in PANEL.histories[0].final_at[[-300, -150, -1]]:
        known = panel_known_at(PANEL, instant)
        served = trained.forecaster.forecast(known)
        assert served.symbols == ("AAA", "BBB", "7203.T")
        for position, frame in enumerate(known.histories):
            row = np.flatnonzero((windows.symbol_index == position) & (windows.as_of == frame.sessions[-1]))
            np.testing.assert_allclose(served.quantiles[position], backtest[row[0]], atol=1e-7, rtol=1e-5)
            assert served.last_close[position] == frame.close[-1]


def test_saved_and_loaded_equals_the_forecaster_in_memory(trained: Trained) -> None:
    spans = holdout_spans(cut_windows(PANEL, CONFIG, require_targets=True), CUT_AT)
    ended: list[EpochEnd] = []
    fitted = fit_network(PANEL, CONFIG, spans, ended.append)
    known = panel_known_at(PANEL, CUT_AT)
    np.testing.assert_allclose(
        fitted.forecaster.forecast(known).quantiles, trained.forecaster.forecast(known).quantiles, atol=1e-7, rtol=1e-5
    )
    # The weights are those of the best epoch: the loss computed again in NumPy is the lowest reported one.
    validation = fitted.windows.select(spans.validation)
    scaled = fitted.forecaster.quantiles(validation) / (validation.sigma[:, None] * np.sqrt([1, 2, 3]))[:, :, None]
    losses = pinball(validation.targets, scaled).mean(axis=1)
    again = (losses * validation.sigma / validation.sigma.mean()).mean()
    assert again == pytest.approx(min(end.val_loss for end in ended), rel=1e-5)
    assert fitted.val_losses == (min(end.val_loss for end in ended),)


def test_data_after_the_cut_changes_nothing(trained: Trained, tmp_path: Path) -> None:
    changed = with_another_future(PANEL, CUT_AT)
    again = train(TrainRequest(changed, CONFIG, CUT_AT, tmp_path), ignore)
    assert again.data_hash == trained.artifact.data_hash
    known = panel_known_at(PANEL, CUT_AT)
    np.testing.assert_allclose(
        load_forecaster(again.path, again.sha256).forecast(known).quantiles,
        trained.forecaster.forecast(known).quantiles,
        atol=1e-7,
        rtol=1e-5,
    )
    assert again.metrics["pinball"] == pytest.approx(trained.artifact.metrics["pinball"], rel=1e-6)


def test_spans_follow_each_other_before_the_cut(trained: Trained) -> None:
    artifact = trained.artifact
    assert artifact.train_dates is not None
    assert artifact.validation_dates is not None
    assert artifact.test_dates is not None
    ends = [*artifact.train_dates, *artifact.validation_dates, *artifact.test_dates]
    assert ends == sorted(ends)
    # 3 sessions before the cut's own: the last whose third step is final by the cut.
    assert artifact.test_dates[1] == PANEL.histories[0].sessions[-43].item()
    assert artifact.data_until == CUT_AT


def test_metrics_of_a_random_walk_are_close_to_the_random_walks(trained: Trained) -> None:
    metrics = trained.artifact.metrics
    # 252 test dates of three symbols.
    assert metrics["n"] == 756
    assert metrics["dates"] == 252
    assert len(metrics["pinball_by_step"]) == len(metrics["coverage"]["80"]) == 3
    assert metrics["pinball"] == pytest.approx(np.mean(metrics["pinball_by_step"]))
    # Two epochs of four units learn nothing that a random walk lacks: no skill beyond noise.
    assert -0.25 < metrics["skill"] < 0.03
    assert 0.0 <= metrics["p"] <= 1.0
    assert len(metrics["seed_pinball"]) == 1
    assert metrics["seed_spread"] == 0.0
    assert metrics["device"]["kind"] == "cpu"
    assert metrics["device"]["backend"].startswith("tensorflow 2.")


def test_progress_reaches_the_end(trained: Trained) -> None:
    assert [(progress.epoch, progress.fraction) for progress in trained.progress] == [(1, 0.5), (2, 1.0)]
    assert {progress.strategy for progress in trained.progress} == {Strategy.MULTI_STEP}
    assert {progress.seed for progress in trained.progress} == {5}


def test_the_manifest_holds_the_facts_of_the_training(trained: Trained) -> None:
    facts = load_artifact(trained.artifact.path, trained.artifact.sha256).facts
    assert facts["data_hash"] == panel_hash(PANEL, CUT_AT)
    assert facts["cut_at"] == str(CUT_AT)
    assert set(facts["libraries"]) == {"numpy", "keras", "tensorflow"}
    assert facts["metrics"] == trained.artifact.metrics


def test_weights_of_other_seeds_or_shapes_are_refused(trained: Trained) -> None:
    pipeline, weights = trained.forecaster.pipeline, trained.forecaster.weights
    with pytest.raises(ArtifactError, match=r"seeds \[5, 6\], the weights \[5\]"):
        NetworkForecaster(replace(CONFIG, seeds=(5, 6)), pipeline, weights)
    with pytest.raises(ArtifactError, match=r"return shape \(1, 3, 7\), the config needs \(1, 1, 7\)"):
        NetworkForecaster(replace(CONFIG, strategy=Strategy.ONE_STEP), pipeline, weights)
    cut = {5: {**weights[5], "recurrent": weights[5]["recurrent"][:, :5]}}
    with pytest.raises(ArtifactError, match="do not fit together"):
        NetworkForecaster(CONFIG, pipeline, cut)


def test_an_artifact_of_an_unknown_network_is_refused(trained: Trained, tmp_path: Path) -> None:
    artifact = load_artifact(trained.artifact.path, trained.artifact.sha256)
    other = replace(artifact, config=replace(CONFIG, forecaster="transformer"))
    with pytest.raises(ArtifactError, match=r"'transformer'; choose one of: .*, lstm"):
        load_forecaster(*save_artifact(other, tmp_path))


def test_seeds_are_averaged_quantile_by_quantile(trained: Trained) -> None:
    weights = trained.forecaster.weights[5]
    shifted = {**weights, "head_bias": weights["head_bias"] + np.float32(0.5)}
    both = NetworkForecaster(replace(CONFIG, seeds=(1, 2)), trained.forecaster.pipeline, {1: weights, 2: shifted})
    windows = both.pipeline.windows(PANEL, require_targets=True)
    first, second = both.seed_quantiles(windows)
    np.testing.assert_allclose(both.quantiles(windows), (first + second) / 2, atol=1e-12)
    assert not np.allclose(first, second)


def test_a_masked_reference_degrades_and_does_not_block(trained: Trained) -> None:
    known = panel_known_at(PANEL, CUT_AT)
    batch = trained.forecaster.forecast(Panel(known.histories, {"SPY": known.references["SPY"]}))
    assert batch.degraded == (("^VIX",),) * 3
    assert np.isfinite(batch.quantiles).all()


def test_a_symbol_with_a_short_history_is_skipped_with_the_reason(trained: Trained) -> None:
    known = panel_known_at(PANEL, CUT_AT)
    young = make_frame("NEW", 100, seed=8)
    batch = trained.forecaster.forecast(Panel((young, known.histories[0]), known.references))
    assert batch.symbols == ("AAA",)
    assert batch.skipped[0].symbol == "NEW"
    assert "a network needs 250" in batch.skipped[0].reason


def test_a_panel_without_a_forecast_gives_only_reasons(trained: Trained) -> None:
    batch = trained.forecaster.forecast(Panel((make_frame("NEW", 100, seed=8),)))
    assert batch.symbols == ()
    assert batch.quantiles.shape == (0, 3, 7)
    assert len(batch.skipped) == 1


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_random_walk_is_an_artifact_too(strategy: Strategy, tmp_path: Path) -> None:
    config = random_walk_config(strategy)
    artifact = train(TrainRequest(PANEL, config, CUT_AT, tmp_path), ignore)
    walk = load_forecaster(artifact.path, artifact.sha256)
    assert walk.forecast(PANEL).quantiles.shape == (3, strategy.horizon, 7)
    assert artifact.metrics["skill"] == 0.0
    assert artifact.metrics["pinball"] == artifact.metrics["random_walk_pinball"]
    assert artifact.train_dates is not None
    assert artifact.validation_dates is not None
    # Residuals of the validation and test spans must not be in it.
    assert isinstance(walk, RandomWalk)
    assert walk.fitted_until is not None
    assert np.datetime64(walk.fitted_until, "s").astype("datetime64[D]").item() <= artifact.validation_dates[0]


def test_a_group_with_a_short_history_has_an_untested_random_walk(tmp_path: Path) -> None:
    panel = Panel((make_frame("NEW", 400, seed=4),))
    sessions, cut_at = panel.histories[0].sessions, panel.histories[0].final_at[-11]
    artifact = train(TrainRequest(panel, random_walk_config(Strategy.MULTI_STEP), cut_at, tmp_path), ignore)
    # The first residual is at the 80th bar, the last one a session before the cut.
    assert artifact.train_dates == (sessions[79].item(), sessions[-12].item())
    assert (artifact.validation_dates, artifact.test_dates) == (None, None)
    assert artifact.metrics == {}
    assert artifact.data_until == cut_at
    expected = fit_random_walk(panel, random_walk_config(Strategy.MULTI_STEP), cut_at).forecast(panel)
    served = load_forecaster(artifact.path, artifact.sha256).forecast(panel)
    np.testing.assert_array_equal(served.quantiles, expected.quantiles)


def test_sixty_bars_of_one_symbol_are_enough_for_the_random_walk(tmp_path: Path) -> None:
    panel = Panel((make_frame("NEW", 60, seed=4),))
    request = TrainRequest(panel, random_walk_config(Strategy.ONE_STEP), panel.histories[0].final_at[-1], tmp_path)
    artifact = train(request, ignore)
    assert (artifact.train_dates, artifact.data_until) == (None, None)
    batch = load_forecaster(artifact.path, artifact.sha256).forecast(panel)
    # Nothing is measured yet: the quantiles of the standard normal, 1.959964 sigma outermost.
    assert batch.quantiles[0, 0, 6] == pytest.approx(1.959964 * batch.sigma[0], rel=1e-6)


def test_a_network_needs_a_thousand_dates(tmp_path: Path) -> None:
    panel = make_panel(700, seed=1)
    with pytest.raises(TooLittleHistory, match="training needs 1000"):
        train(TrainRequest(panel, CONFIG, panel.histories[0].final_at[-1], tmp_path), ignore)
    assert list(tmp_path.iterdir()) == []


def test_the_panel_hash_covers_what_is_known_and_nothing_later() -> None:
    instant = PANEL.histories[0].final_at[600]
    known = panel_hash(PANEL, instant)
    assert panel_hash(with_another_future(PANEL, instant), instant) == known
    assert panel_hash(with_another_future(PANEL, PANEL.histories[0].final_at[598]), instant) != known
    assert panel_hash(Panel(PANEL.histories[:2], PANEL.references), instant) != known
    assert panel_hash(Panel(PANEL.histories, {}), instant) != known


def test_a_spawned_child_trains_both_and_gives_the_same_forecasts(trained: Trained, tmp_path: Path) -> None:
    requests = [
        TrainRequest(PANEL, config, CUT_AT, tmp_path) for config in (CONFIG, random_walk_config(Strategy.MULTI_STEP))
    ]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        network, walk = pool.submit(train_all, requests, ignore).result(timeout=120)
    assert walk.config.forecaster == "random_walk"
    known = panel_known_at(PANEL, CUT_AT)
    np.testing.assert_allclose(
        load_forecaster(network.path, network.sha256).forecast(known).quantiles,
        trained.forecaster.forecast(known).quantiles,
        atol=1e-7,
        rtol=1e-5,
    )
