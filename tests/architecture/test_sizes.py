"""The limits of size: files, functions, classes."""

import ast
from collections import Counter
from pathlib import Path

from tests.support.source_tree import CODE, Function, dotted, files, functions, name, tree

SOURCE_LINES, TEST_LINES, FUNCTION_LINES, USUAL_FUNCTION_LINES = 400, 500, 60, 35
MIGRATION_LINES = 200
MODULES = 14
PARAMETERS, PUBLIC_METHODS = 6, 12


def lines(path: Path) -> int:
    """Lines of a file, blank ones included."""
    return len(path.read_text().splitlines())


def length(function: Function) -> int:
    """Lines of a function, its docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def is_property(function: Function) -> bool:
    """Whether a function is read as an attribute."""
    return any(dotted(each) in ("property", "functools.cached_property") for each in function.decorator_list)


def is_command(function: Function) -> bool:
    """Whether a function is a command of Typer, whose parameters are the options a person sees."""
    return any(isinstance(each, ast.Call) and dotted(each.func) == "app.command" for each in function.decorator_list)


def test_no_source_file_is_too_long() -> None:
    paths = files(*CODE, "tools", "benchmarks")
    assert {name(path): lines(path) for path in paths if lines(path) > SOURCE_LINES} == {}


def test_no_test_file_is_too_long() -> None:
    assert {name(path): lines(path) for path in files("tests") if lines(path) > TEST_LINES} == {}


def test_no_migration_is_too_long() -> None:
    assert {name(path): lines(path) for path in files("migrations") if lines(path) >= MIGRATION_LINES} == {}


def test_no_folder_holds_too_many_modules() -> None:
    folders = Counter(path.parent for path in files("service", "models") if path.name != "__init__.py")
    assert {name(folder): count for folder, count in folders.items() if count > MODULES} == {}


def test_no_function_is_too_long() -> None:
    # A migration's upgrade is a list of tables: its file has a limit of its own.
    paths = [path for path in files(*CODE, "tools", "benchmarks") if path.parent.name != "versions"]
    long = {f"{name(path)}:{each.name}": length(each) for path in paths for each in functions(path)}
    assert {where: size for where, size in long.items() if size > FUNCTION_LINES} == {}


def test_nine_functions_of_ten_are_short() -> None:
    sizes = sorted(length(each) for path in files("service", "models") for each in functions(path))
    assert sizes[int(len(sizes) * 0.9)] <= USUAL_FUNCTION_LINES


def test_no_function_takes_too_many_parameters() -> None:
    many = {}
    for path in files("models", "service"):
        for function in functions(path):
            if is_command(function):
                continue
            arguments = function.args
            names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            count = len([each for each in names if each not in ("self", "cls")])
            if count > PARAMETERS:
                many[f"{name(path)}:{function.name}"] = count
    assert many == {}


def test_no_class_has_too_many_public_methods() -> None:
    many = {}
    for path in files(*CODE):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                # A property is read like a field: it is none of the things a class does.
                done = [part for part in node.body if isinstance(part, Function) and not is_property(part)]
                public = [part.name for part in done if part.name[0] != "_"]
                if len(public) > PUBLIC_METHODS:
                    many[f"{name(path)}:{node.name}"] = len(public)
    assert many == {}
