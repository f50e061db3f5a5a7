"""The bars of sampled paths, and the inputs of only the newest sessions of many histories."""

import numpy as np

from models.preprocessing.extended_features import cycle_scores, extended_features
from models.preprocessing.features import own_features
from models.preprocessing.path_bars import KnownHistory, PathBars, PathStarts
from models.preprocessing.price_history import PriceHistory
from tests.support.factories import make_frame, make_panel

PANEL = make_panel(700, seed=5, tokyo=())


def test_a_synthetic_session_holds_only_its_close() -> None:
    history: PriceHistory = PANEL.histories[0].until(600)  # its last session is Friday 2002-04-19
    bars = PathStarts.at([KnownHistory.of(PANEL.histories[0])], [600]).extend(np.array([[[0.01, -0.02], [0.0, 0.03]]]))
    assert [str(day) for day in bars.sessions[0, 0, -3:]] == ["2002-04-19", "2002-04-22", "2002-04-23"]
    assert bars.close.shape == (1, 2, 307)
    np.testing.assert_allclose(np.diff(np.log(bars.close[0, :, -3:])), [[0.01, -0.02], [0.0, 0.03]], atol=1e-9)
    np.testing.assert_array_equal(bars.close[0, 1, :305], history.close[-305:])
    for name in ("open", "high", "low", "volume"):
        np.testing.assert_array_equal(getattr(bars, name)[0, 0, :305], getattr(history, name)[-305:])
        assert np.isnan(getattr(bars, name)[0, 0, 305:]).all()


def test_the_newest_sessions_of_many_histories_have_the_inputs_of_each_alone() -> None:
    histories = [make_frame("AAA", 320, 1), make_frame("BBB", 320, 2, holes=[60, 200, 300, 317])]
    columns = [
        np.stack([getattr(history, name) for history in histories])[:, None]
        for name in ("open", "high", "low", "close", "volume")
    ]
    together = PathBars(histories[0].sessions[None, None], *columns)
    own, sigma = own_features(together, newest=4)
    assert own.shape == (2, 1, 4, 8)
    scores = np.stack([cycle_scores(history) for history in histories], axis=1)[:, :, None]
    extended = extended_features(together, sigma, 4, (scores[0], scores[1]))
    for position, history in enumerate(histories):
        expected, expected_sigma = own_features(history)
        np.testing.assert_allclose(sigma[position, 0], expected_sigma[-4:], rtol=1e-12)
        np.testing.assert_allclose(own[position, 0], expected[-4:], rtol=1e-9, atol=1e-12)
        expected = extended_features(history, expected_sigma)
        np.testing.assert_allclose(extended[position, 0], expected[-4:], rtol=1e-9, atol=1e-12)
        for newest, whole in zip(cycle_scores(together, 3), cycle_scores(history), strict=True):
            np.testing.assert_allclose(newest[position, 0], whole[-3:], rtol=1e-9, atol=1e-12)
