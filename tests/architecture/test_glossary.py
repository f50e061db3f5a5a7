"""Names follow the glossary of CONTRIBUTING.md, and prose avoids the words of the list; and the checker finds both."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools.glossary import (
    ALLOWED_NAMES,
    ALLOWED_PROSE,
    KINDS,
    BannedWord,
    Name,
    all_findings,
    banned_in,
    names_in,
    phrases_in,
    prose_in,
    read_glossary,
    split_name,
)

GLOSSARY = """\
# Words

| term | meaning | instead of |
|---|---|---|
| mode | live, replay or backfill | `origin` (column, field) |
| approval | whether a config is accepted | `standing` |
| validation loss | `val_loss` | `stop_loss` |
| session | a trading day | |

The table ends above: `standing` is a word of the text.
"""
BANNED = read_glossary(GLOSSARY)


def refused(kind: str, text: str, file: str = "service/app.py") -> bool:
    """Whether a name is refused by the glossary above."""
    return banned_in(Name(kind, text, file), BANNED) is not None


def test_the_repository_has_no_refused_name_and_no_refused_phrase() -> None:
    assert all_findings() == {}


def test_the_glossary_of_contributing_bans_words_in_every_kind_and_in_some() -> None:
    banned = read_glossary((ROOT / "CONTRIBUTING.md").read_text())
    assert BannedWord(("canary",), KINDS, "probe") in banned
    assert BannedWord(("accuracy",), frozenset({"table"}), "track record") in banned


def test_every_exception_has_a_reason_and_a_place() -> None:
    assert all(reason for reason in (*ALLOWED_NAMES.values(), *ALLOWED_PROSE.values()))
    assert [place for _, place in ALLOWED_NAMES if not (ROOT / place).exists()] == []
    assert [file for file in ALLOWED_PROSE if not (ROOT / file).exists()] == []


def test_a_table_is_read_with_its_kinds() -> None:
    assert BANNED == (
        BannedWord(("origin",), frozenset({"column", "field"}), "mode"),
        BannedWord(("standing",), KINDS, "approval"),
        BannedWord(("stop", "loss"), KINDS, "validation loss"),
    )


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kinds for 'origin': colum"):
        read_glossary(GLOSSARY.replace("(column, field)", "(colum, field)"))


def test_a_document_without_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold a table"):
        read_glossary("# no table\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stop_loss", ("stop", "loss")),
        ("StopLoss", ("stop", "loss")),
        ("HTTPOrigin", ("http", "origin")),
        ("/v1/forecasts/{symbol}", ("v", "1", "forecasts", "symbol")),
        ("_read_standing", ("read", "standing")),
        ("Conv3DVariant", ("conv", "3", "d", "variant")),
    ],
)
def test_names_are_split_into_words(name: str, words: tuple[str, ...]) -> None:
    assert split_name(name) == words


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("class", "Standing"),
        ("class", "OldStandings"),
        ("function", "read_standing"),
        ("function", "best_stop_loss"),
        ("column", "origin"),
        ("field", "origin_kind"),
        ("route", "/v1/standings/{id}"),
    ],
)
def test_a_banned_word_is_found(kind: str, name: str) -> None:
    assert refused(kind, name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("class", "Approval"),
        ("class", "OutstandingOrder"),
        ("function", "loss_stop"),
        ("function", "check_origin"),  # the HTTP header: banned for columns and fields only
        ("class", "OriginCheck"),
        ("field", "original"),
    ],
)
def test_an_allowed_name_is_not_found(kind: str, name: str) -> None:
    assert not refused(kind, name)


def test_the_sentence_names_the_term_to_use() -> None:
    assert banned_in(Name("class", "Standing", "x.py"), BANNED) == (
        'class Standing: "standing" is refused, the term is: approval'
    )


def test_a_word_may_be_allowed_in_a_folder() -> None:
    banned = (BannedWord(("fold",), frozenset({"class"}), "convolution geometry"),)
    assert banned_in(Name("class", "FoldResult", "models/backtest/folds.py"), banned) is None
    assert banned_in(Name("class", "Fold", "models/networks/spatiotemporal/convolution_numpy.py"), banned) is not None


def test_every_kind_of_name_is_collected(tmp_path: Path) -> None:
    tables = tmp_path / "service" / "db" / "tables"
    routes = tmp_path / "service" / "api" / "accuracy"
    tables.mkdir(parents=True)
    routes.mkdir(parents=True)
    (tables / "control.py").write_text('requests = Table("requests", metadata, Column("origin", Text))\n')
    (routes / "schemas.py").write_text("class Record(Model):\n    origin: str\n")
    (routes / "routes.py").write_text('@router.get("/v1/accuracy")\ndef read(origin: str) -> None: ...\n')

    def found(path: Path) -> set[tuple[str, str]]:
        return {(name.kind, name.text) for name in names_in(path, tmp_path)}

    assert found(tables / "control.py") == {("module", "control"), ("table", "requests"), ("column", "origin")}
    assert found(routes / "schemas.py") == {("module", "schemas"), ("class", "Record"), ("field", "origin")}
    assert found(routes / "routes.py") == {
        ("module", "routes"), ("function", "read"), ("route", "/v1/accuracy"), ("field", "origin"),
    }  # fmt: skip


def test_a_package_is_a_module_of_its_folders_name(tmp_path: Path) -> None:
    (tmp_path / "standing").mkdir()
    (tmp_path / "standing" / "__init__.py").write_text("")
    assert list(names_in(tmp_path / "standing" / "__init__.py", tmp_path)) == [
        Name("module", "standing", "standing/__init__.py")
    ]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("The reader is told what came.", ["told", "what came"]),
        ("It stands beside the random walk.", ["stands", "beside"]),
        ("Nobody Ought to ask.", ["nobody", "ought"]),
        ("Forecast and what came", ["what came"]),
        ("A stand-in server; the understanding; a thought; Excel", []),
        ("The forecast is next to the random walk.", []),
    ],
)
def test_old_fashioned_words_are_found(text: str, phrases: list[str]) -> None:
    assert phrases_in(text) == phrases


def test_prose_of_python_is_its_sentences_without_code(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""The first sentence, see `told now`."""\n\nTOLD = "told"\nraise ValueError(f"it is told {TOLD}")\n'
    )
    assert list(prose_in(path)) == ["The first sentence, see .", "it is told "]


def test_prose_of_a_document_leaves_out_code_generated_tables_and_the_glossary(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    generated = "<!-- api: generated by a tool -->\n| told |\n<!-- end of api -->\n"
    path.write_text(f"{GLOSSARY}\n{generated}\n```text\ntold\n```\nIt is `told` here.\n")
    assert [phrases_in(text) for text in prose_in(path)] == [[]]


def test_the_findings_of_a_file_are_its_names_and_its_phrases(tmp_path: Path) -> None:
    path = tmp_path / "standing.py"
    path.write_text('"""Nobody is told."""\n\n\nclass Standing:\n    """A class."""\n')
    refused_names = [name.text for name in names_in(path, tmp_path) if banned_in(name, BANNED)]
    assert refused_names == ["standing", "Standing"]
    assert [phrases_in(text) for text in prose_in(path)] == [["nobody", "told"], []]
