"""The score of a mutation run, from literal results."""

import json
from pathlib import Path

from tools.mutation_score import ModuleScore, module_score, read_scores, report


def test_only_failed_tests_and_timeouts_count_as_killed() -> None:
    codes = {"failed": 1, "broken": 3, "slow": 36, "cpu": -24, "lived": 0, "untested": 33, "crashed": 255, "new": None}
    assert module_score("models/gate.py", codes) == ModuleScore(
        "models/gate.py", 4, ("lived", "untested", "crashed", "new")
    )


def test_results_are_read_by_path_without_files_that_have_no_mutants(tmp_path: Path) -> None:
    written: dict[str, dict[str, int]] = {"service/runs.py": {"a": 1, "b": 0}, "models/gate.py": {"c": 1}, "x.py": {}}
    for name, codes in written.items():
        file = tmp_path / f"{name}.meta"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"exit_code_by_key": codes}))
    assert read_scores(tmp_path) == [ModuleScore("models/gate.py", 1, ()), ModuleScore("service/runs.py", 1, ("b",))]


def test_the_report_names_survivors_and_counts_each_module() -> None:
    lines = report([ModuleScore("models/gate.py", 1, ()), ModuleScore("service/runs.py", 1, ("b",))]).splitlines()
    assert lines[0] == "survived: b"
    assert [line.split() for line in lines[1:]] == [
        ["models/gate.py", "1", "of", "1", "killed", "100.0%"],
        ["service/runs.py", "1", "of", "2", "killed", "50.0%"],
        ["all", "2", "of", "3", "killed", "66.7%"],
    ]


def test_a_module_without_mutants_scores_nothing() -> None:
    assert ModuleScore("models/gate.py", 0, ()).score == 0.0
