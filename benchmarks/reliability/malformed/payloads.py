"""Malformed price payloads: a correct chart document, damaged in one or several ways.

Each payload is made from a seed. A damage never makes a plausible price: what is stored afterwards must therefore be
the true figures of true sessions, or nothing.
"""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Chart = dict[str, Any]
Damage = Callable[[random.Random, Chart], None]
"""Changes the result of a chart document in place."""

_DAY = 86_400
_FIELDS = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Payload:
    """A malformed payload.

    Attributes:
        name: Names of its damages.
        make: Function from the result of a correct chart document to the body of the answer.
    """

    name: str
    make: Callable[[Chart], bytes]


def _body(result: Any) -> bytes:
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def _quote(chart: Chart) -> dict[str, Any]:
    quote: dict[str, Any] = chart["indicators"]["quote"][0]
    return quote


def _some_rows(chance: random.Random, chart: Chart) -> list[int]:
    count = len(chart["timestamp"])
    return sorted(chance.sample(range(count), min(count, chance.choice((1, 1, 2, 5)))))


def _set_close(value: Any) -> Damage:
    def damage(chance: random.Random, chart: Chart) -> None:
        for row in _some_rows(chance, chart):
            _quote(chart)["close"][row] = value

    return damage


def _set_figure(value: Any) -> Damage:
    def damage(chance: random.Random, chart: Chart) -> None:
        column = _quote(chart)[chance.choice(("open", "high", "low", "volume"))]
        for row in _some_rows(chance, chart):
            column[row] = value

    return damage


def _scale_rows(factor: float) -> Damage:
    def damage(chance: random.Random, chart: Chart) -> None:
        for row in _some_rows(chance, chart):
            for name in _FIELDS:
                _quote(chart)[name][row] *= factor

    return damage


def _null_rows(chance: random.Random, chart: Chart) -> None:
    for row in _some_rows(chance, chart):
        for name in (*_FIELDS, "volume"):
            _quote(chart)[name][row] = None


def _all_null(_chance: random.Random, chart: Chart) -> None:
    for name in (*_FIELDS, "volume"):
        _quote(chart)[name] = [None] * len(chart["timestamp"])


def _add_row(chart: Chart, place: int, stamp: Any, factor: float) -> None:
    """Insert a row with prices that are wrong by a factor."""
    near = min(place, len(chart["timestamp"]) - 1)
    for name in (*_FIELDS, "volume"):
        column = _quote(chart)[name]
        column.insert(place, column[near] * (factor if name != "volume" else 1))
    adjusted = chart["indicators"]["adjclose"][0]["adjclose"]
    adjusted.insert(place, adjusted[near] * factor)
    chart["timestamp"].insert(place, stamp)


def _duplicate(chance: random.Random, chart: Chart) -> None:
    """Repeat a session's row later on the same day, with other prices; the last session keeps its own."""
    row = chance.randrange(len(chart["timestamp"]) - 1)
    _add_row(chart, row + 1, chart["timestamp"][row] + 3600, chance.choice((0.1, 7.0)))


def _future(chance: random.Random, chart: Chart) -> None:
    for days in range(1, chance.choice((2, 10, 400))):
        _add_row(chart, len(chart["timestamp"]), chart["timestamp"][-1] + _DAY, 1.0 + days / 10)


def _weekend(_chance: random.Random, chart: Chart) -> None:
    stamps = chart["timestamp"]
    gaps = [row for row in range(len(stamps) - 1) if stamps[row + 1] - stamps[row] > 2 * _DAY]
    if gaps:
        _add_row(chart, gaps[0] + 1, stamps[gaps[0]] + _DAY, 1.02)


def _unsorted(chance: random.Random, chart: Chart) -> None:
    """Shuffle the stamps away from their rows; the last one alone says so."""
    order = list(range(len(chart["timestamp"])))
    chance.shuffle(order)
    chart["timestamp"] = [chart["timestamp"][row] for row in order]
    for column in (
        *(_quote(chart)[name] for name in (*_FIELDS, "volume")),
        chart["indicators"]["adjclose"][0]["adjclose"],
    ):
        column[:] = [column[row] for row in order]


def _stamp(value: Any) -> Damage:
    def damage(chance: random.Random, chart: Chart) -> None:
        chart["timestamp"][chance.randrange(len(chart["timestamp"]))] = value

    return damage


def _cut_column(chance: random.Random, chart: Chart) -> None:
    name = chance.choice((*_FIELDS, "volume"))
    _quote(chart)[name] = _quote(chart)[name][: chance.randrange(len(chart["timestamp"]))]


def _without(*path: Any) -> Damage:
    def damage(_chance: random.Random, chart: Chart) -> None:
        place: Any = chart
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return damage


def _with(value: Any, *path: Any) -> Damage:
    def damage(_chance: random.Random, chart: Chart) -> None:
        place: Any = chart
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = copy.deepcopy(value)

    return damage


def _event(kind: str, **values: Any) -> Damage:
    def damage(chance: random.Random, chart: Chart) -> None:
        stamp = chance.choice(chart["timestamp"][1:] or chart["timestamp"])
        chart["events"][kind] = {str(stamp): {"date": stamp, **values}}

    return damage


def _another_company(_chance: random.Random, chart: Chart) -> None:
    """Answer with the rows of another company, under its own name."""
    chart["meta"]["symbol"] = "ANOTHER"
    for name in _FIELDS:
        _quote(chart)[name] = [value * 1.7 for value in _quote(chart)[name]]


_VALUES: dict[str, Any] = {
    "null": None, "negative": -12.5, "zero": 0.0, "nan": float("nan"), "inf": float("inf"), "minus inf": float("-inf"),
    "huge": 1e300, "beyond float": 10**400, "tiny": 1e-300, "text": "abc", "empty text": "", "list": [1.0],
    "object": {"raw": 1.0}, "NUL": "\x00", "markup": "<b>1</b>",
}  # fmt: skip

DAMAGES: dict[str, Damage] = {
    **{f"close {name}": _set_close(value) for name, value in _VALUES.items()},
    **{f"figure {name}": _set_figure(value) for name, value in _VALUES.items() if name != "zero"},
    **{f"price x {factor}": _scale_rows(factor) for factor in (0.001, 0.01, 0.1, 0.5, 2.0, 4.0, 10.0, 100.0, 1e6)},
    "null rows": _null_rows, "all null": _all_null, "duplicate session": _duplicate, "future sessions": _future,
    "weekend": _weekend, "unsorted": _unsorted, "cut column": _cut_column, "another company": _another_company,
    **{f"stamp {value!r:.20}": _stamp(value) for value in (None, -1, 0, "text", 10**12, 10**30, 1.5, [1], -(10**11))},
    **{f"without {path[-1]}": _without(*path) for path in (
        ("timestamp",), ("indicators",), ("indicators", "quote"), ("indicators", "quote", 0),
        ("indicators", "quote", 0, "close"), ("indicators", "quote", 0, "volume"), ("indicators", "adjclose"),
        ("meta",),
        ("meta", "currency"), ("meta", "exchangeTimezoneName"), ("meta", "instrumentType"), ("meta", "symbol"),
    )},
    **{f"{path[-1]} = {value!r:.20}": _with(value, *path) for path, value in (
        (("timestamp",), None), (("timestamp",), "text"), (("timestamp",), []), (("indicators",), None),
        (("indicators",), []), (("indicators", "quote"), []), (("indicators", "quote"), [None]),
        (("indicators", "quote", 0, "close"), None), (("indicators", "quote", 0, "close"), "text"),
        (("indicators", "quote", 0, "close"), []), (("indicators", "adjclose"), [{}]),
        (("meta",), None), (("meta",), []),
        (("meta", "exchangeTimezoneName"), "Mars/Base"), (("meta", "exchangeTimezoneName"), 5),
        (("meta", "exchangeTimezoneName"), "../../etc/passwd"), (("meta", "symbol"), ["MADE"]),
        (("meta", "instrumentType"), {"a": 1}), (("meta", "firstTradeDate"), "never"), (("meta", "gmtoffset"), "x"),
        (("meta", "validRanges"), None), (("events",), "text"), (("events",), {"splits": []}),
    )},
    **{f"dividend {value!r:.20}": _event("dividends", amount=value) for value in (
        -1.0, float("nan"), float("inf"), "text", None, 1e9, 10**400)},
    **{f"split {top!r:.10}:{bottom!r:.10}": _event("splits", numerator=top, denominator=bottom) for top, bottom in (
        (0, 1), (1, 0), (-2, 1), ("2", "text"), (None, None), (float("nan"), 1), (1e300, 1))},
}  # fmt: skip
"""Damages by name."""


def _bodies(chance: random.Random, whole: bytes) -> bytes:
    """Return a body that is no chart document at all."""
    cut = chance.randrange(1, len(whole))
    flipped = bytearray(whole)
    for _ in range(chance.choice((1, 20))):
        flipped[chance.randrange(14)] = chance.randrange(256)
    return chance.choice(
        (
            b"", b"{}", b"[]", b"null", b"0", b'"text"', b"{", b"\xff\xfe\x00", b"NaN", whole[:cut], bytes(flipped),
            b"<!doctype html><html><body>Oops</body></html>", b'{"chart": null}', b'{"chart": []}', b"[" * 100_000,
            b'{"chart": {"result": null, "error": null}}', b'{"chart": {"result": [], "error": null}}',
            b'{"chart": {"result": [null], "error": null}}', b'{"chart": {"result": [{}], "error": null}}',
            b'{"chart": {"result": {}, "error": null}}', b'{"chart": {"result": "text", "error": null}}',
            b'{"chart": {"result": null, "error": "text"}}', b'{"chart": {"result": null, "error": {}}}',
            b'{"chart": {"error": null}}', bytes(chance.randrange(256) for _ in range(200)), whole + whole,
        )
    )  # fmt: skip


NAMED = (*DAMAGES, "no document")


def payload(seed: int) -> Payload:
    """Return the payload of a seed: each named damage alone, and for later seeds up to three together."""
    chance = random.Random(seed)
    names = [NAMED[seed]] if seed < len(NAMED) else chance.sample(NAMED, chance.choice((1, 2, 3)))
    return Payload(" + ".join(names), lambda chart: _damaged(seed, names, chart))


def _damaged(seed: int, names: list[str], chart: Chart) -> bytes:
    chance = random.Random(seed)  # the same damage in each answer
    chart = copy.deepcopy(chart)
    for name in names:
        if name == "no document":
            return _bodies(chance, _body(chart))
        try:
            DAMAGES[name](chance, chart)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError):
            continue  # an earlier damage has removed what this one changes
    return _body(chart)
