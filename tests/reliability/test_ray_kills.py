"""What counts as a miss of the trial of killed Ray workers; the trial is `benchmarks.reliability.ray_kills`.

That a task of a killed worker is repeated is tested in `tests/service/execution/test_contract.py`.
"""

import pytest

from benchmarks.reliability.ray_kills import Figures, missed


@pytest.mark.parametrize(
    ("figures", "sentences"),
    [
        (Figures("worker", kills=20, repeated=20, same=20), []),
        (Figures("worker", kills=19, repeated=20, same=20), ["19 of 20 kills of a worker met a fit"]),
        (
            Figures("node", kills=20, repeated=20, same=18),
            ["2 of 20 trainings with a killed node gave another result"],
        ),
        (
            Figures("node", kills=20, repeated=17, same=20),
            ["3 kills of a node made no task repeat: they prove nothing"],
        ),
    ],
)
def test_what_counts_as_a_miss(figures: Figures, sentences: list[str]) -> None:
    assert missed(figures, 20) == sentences
