"""A refit with evidence and its comparison with the replaced version, with networks that train in a second."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from models.config import ModelConfig, Strategy
from models.errors import TooLittleHistory
from models.forecasting.artifact import load_artifact
from models.forecasting.network_forecaster import NetworkForecaster, load_forecaster
from models.metrics.scoring_rules import pinball
from models.training.holdout import BASIS_POINT, actual_returns
from models.training.refit_check import Predecessor
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest, train
from models.training.walk_forward_evidence import FOLD_SESSIONS, FOLDS
from tests.support.factories import SPY, VIX, make_panel

PANEL = make_panel(1300, seed=3)
CONFIG = ModelConfig(
    "lstm", Strategy.ONE_STEP, references=(SPY, VIX), units=4, seeds=(5,), max_epochs=2, batch_size=512
)
CUT_AT = PANEL.histories[0].final_at[-10]
EARLIER = PANEL.histories[0].final_at[-20]


def ignore(progress: TrainProgress) -> None:
    """Ignore progress."""


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> TrainedArtifact:
    return train(TrainRequest(PANEL, CONFIG, EARLIER, tmp_path_factory.mktemp("former")), ignore)


def test_training_with_evidence_returns_daily_losses_and_the_comparison_with_the_predecessor(
    former: TrainedArtifact, tmp_path: Path
) -> None:
    reported: list[TrainProgress] = []
    request = TrainRequest(PANEL, CONFIG, CUT_AT, tmp_path, True, Predecessor(former.path, former.sha256, 7))
    trained = train(request, reported.append)
    evidence = trained.evidence
    assert evidence is not None
    assert evidence.horizon == 1
    # Two symbols of New York and one of Tokyo share their dates.
    assert len(evidence) == FOLDS * FOLD_SESSIONS == 252
    assert trained.test_dates is not None
    assert (evidence.days[0].item(), evidence.days[-1].item()) == trained.test_dates
    # Nothing can be learned from random walks, above all not in two epochs: the loss is no better than by chance.
    assert evidence.loss.mean() > 0.99 * evidence.walk.mean()
    assert [round(progress.fraction, 3) for progress in reported] == [0.167, 0.333, 0.5, 0.667, 0.833, 1.0]

    comparison = trained.metrics["predecessor"]
    assert comparison["version"] == 7
    assert former.validation_dates is not None
    assert trained.test_dates is not None
    since = max(np.busday_offset(former.validation_dates[1], 6) + 1, np.datetime64(trained.test_dates[0]))
    for figure, artifact in (("pinball", trained), ("predecessor_pinball", former)):
        forecaster = load_forecaster(artifact.path, artifact.sha256)
        assert isinstance(forecaster, NetworkForecaster)
        windows = forecaster.pipeline.windows(PANEL, require_targets=True)
        windows = windows.select((windows.as_of >= since) & (windows.as_of <= np.datetime64(trained.test_dates[1])))
        loss = BASIS_POINT * pinball(actual_returns(windows), forecaster.quantiles(windows)).mean()
        assert comparison[figure] == pytest.approx(loss, rel=1e-9)
        assert comparison["n"] == len(windows)


def test_a_missing_predecessor_is_reported_and_stops_nothing(former: TrainedArtifact, tmp_path: Path) -> None:
    request = TrainRequest(PANEL, CONFIG, CUT_AT, tmp_path, False, Predecessor(tmp_path / "gone", former.sha256))
    trained = train(request, ignore)
    assert trained.evidence is None
    assert set(trained.metrics["predecessor"]) == {"version", "error"}
    assert "gone" in trained.metrics["predecessor"]["error"]


def test_sessions_of_the_predecessors_validation_are_left_out(tmp_path: Path) -> None:
    """A predecessor of a later cut was trained or validated on all that an earlier refit is tested on."""
    panel = make_panel(1400, seed=3, symbols=("AAA",), tokyo=())
    later = panel.histories[0].final_at[-1]
    newer = train(TrainRequest(panel, CONFIG, later, tmp_path), ignore)
    validation_last = newer.validation_dates[1] if newer.validation_dates else None
    refit = train(
        TrainRequest(panel, CONFIG, panel.histories[0].final_at[-260], tmp_path, False,
                     Predecessor(newer.path, newer.sha256)),
        ignore,
    )  # fmt: skip
    assert refit.test_dates is not None
    assert validation_last is not None
    assert refit.test_dates[1] <= validation_last
    assert refit.metrics["predecessor"] == {"version": 0, "n": 0, "pinball": None, "predecessor_pinball": None}


def test_sessions_within_the_purge_after_the_predecessors_validation_span_are_left_out(
    former: TrainedArtifact, tmp_path: Path
) -> None:
    """The predecessor's validation span ends on the second test date: those two and six weekdays are left out."""
    request = TrainRequest(
        PANEL, CONFIG, PANEL.histories[0].final_at[-25], tmp_path, False, Predecessor(former.path, former.sha256)
    )
    trained = train(request, ignore)
    assert former.validation_dates is not None
    assert trained.test_dates is not None
    assert former.validation_dates[1] == date(2003, 12, 5)
    assert trained.test_dates[0] == date(2003, 12, 4)
    # 252 test dates without 8, of three symbols.
    assert trained.metrics["predecessor"]["n"] == 3 * 244


def test_a_predecessor_of_another_horizon_is_not_compared(former: TrainedArtifact, tmp_path: Path) -> None:
    config = replace(CONFIG, strategy=Strategy.MULTI_STEP)
    trained = train(
        TrainRequest(PANEL, config, CUT_AT, tmp_path, False, Predecessor(former.path, former.sha256)), ignore
    )
    assert trained.metrics["predecessor"] == {"version": 0, "error": "it is a lstm of 1 steps"}
    assert load_artifact(trained.path, trained.sha256).facts["metrics"] == trained.metrics


def test_a_fold_that_is_too_short_leaves_out_the_evidence_and_keeps_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_short(*_arguments: object) -> None:
        raise TooLittleHistory("no symbol has a window in the fold")

    monkeypatch.setattr("models.training.train.gather_evidence", too_short)
    trained = train(TrainRequest(PANEL, CONFIG, CUT_AT, tmp_path, True), ignore)
    assert trained.evidence is None
    assert isinstance(load_forecaster(trained.path, trained.sha256), NetworkForecaster)
