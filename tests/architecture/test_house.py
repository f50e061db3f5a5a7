"""The rules of the house that are about words in the source: commits, clocks, environment, pickle, docstrings."""

import ast
import tomllib
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import migrations
from service.db.revision import HEAD
from tests.support.source_tree import CODE, ROOT, dotted, files, functions, imported, name, tree

CLOCK_CALLS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "date.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
    "pd.Timestamp.now",
    "pd.Timestamp.today",
    "pd.Timestamp.utcnow",
    "np.datetime64.now",
}
PICKLES = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def calls(path: Path) -> list[str]:
    """What a file calls, as dotted names."""
    return [dotted(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def attributes(path: Path) -> set[str]:
    """Attribute chains a file uses."""
    return {dotted(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}


def test_there_is_one_commit() -> None:
    commits = [name(path) for path in files("service") for call in calls(path) if call.split(".")[-1] == "commit"]
    assert commits == ["service/db/session.py"]


def test_the_wall_clock_is_read_in_one_file() -> None:
    assert {name(path) for path in files(*CODE) if CLOCK_CALLS & set(calls(path))} == {"service/clock.py"}


def test_the_environment_is_read_in_one_file() -> None:
    uses = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
    readers = {name(path) for path in files(*CODE) if uses & (attributes(path) | imported(path))}
    assert readers == {"service/settings.py"}


def test_nothing_is_pickled() -> None:
    found = {name(path) for path in files(*CODE) if PICKLES & {each.split(".")[0] for each in imported(path)}}
    assert found == set()


def test_arrays_are_never_loaded_as_objects() -> None:
    found = [
        name(path)
        for path in files(*CODE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert found == []


def test_nothing_is_printed_or_passed_over_in_silence() -> None:
    silent = [
        f"{name(path)}:{node.lineno}"
        for path in files(*CODE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or dotted(node.type) in ("Exception", "BaseException"))
        and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    printed = [name(path) for path in files(*CODE) if "print" in calls(path)]
    assert (silent, printed) == ([], [])


def test_no_function_takes_whatever_comes() -> None:
    overrides = {"service/prices/sources/yahoo.py:request"}  # has the signature of the library's method
    found = {
        f"{name(path)}:{function.name}" for path in files(*CODE) for function in functions(path) if function.args.kwarg
    }
    assert found - overrides == set()


@pytest.mark.parametrize("path", files("models"), ids=name)
def test_every_public_name_of_models_is_explained(path: Path) -> None:
    module = tree(path)
    bare = [] if ast.get_docstring(module) else ["the module"]
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        inside = (
            [part for part in node.body if isinstance(part, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []
        )
        for part in [node, *inside]:
            if not part.name.startswith("_") and not ast.get_docstring(part):
                bare.append(part.name)
    assert bare == []


def test_the_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_contract_of_the_database_names_every_part_of_the_service() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (database,) = [each for each in contracts if each.get("source_modules") == ["service.db"]]
    parts = {f"service.{path.stem}" for path in (ROOT / "service").iterdir() if path.is_dir() or path.suffix == ".py"}
    parts -= {"service.__init__", "service.__pycache__"}
    parts -= {
        "service.db",
        "service.errors",
        "service.settings",
        "service.api_settings",
        "service.compute_settings",
        "service.validation_messages",
        "service.vocabulary",
    }
    assert parts - set(database["forbidden_modules"]) == set()
