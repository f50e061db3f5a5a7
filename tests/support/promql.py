"""Reads names out of PromQL: enough to know which metrics, labels and label values an expression needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+ | (?P<string>"[^"]*") | (?P<range>\[\w+(?::\w*)?\]) | (?P<number>\d+(?:\.\d+)?(?:[smhdwy]\w*)?)
    | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*) | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){},=<>@])""",
    re.VERBOSE,
)
_FUNCTIONS = {"abs", "absent", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time"}
_LISTS = {"by", "without", "on", "ignoring"}
_WORDS = {"and", "or", "unless", "offset", "bool"}


@dataclass(frozen=True)
class Selector:
    """A metric of an expression with its label matchers: (label, operator, value)."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Expression:
    """What an expression needs.

    Attributes:
        selectors: Its metrics.
        labels: Labels it groups or joins by.
    """

    selectors: tuple[Selector, ...]
    labels: frozenset[str]


def tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of each token.

    Raises:
        ValueError: part of the text is no token.
    """
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"{text[position : position + 20]!r} in {text!r} is no PromQL")
        position = found.end()
        if found.lastgroup is not None:
            yield found.lastgroup, found[0]


def read(text: str) -> Expression:
    """Read an expression.

    Raises:
        ValueError: it has an unknown function, or brackets that do not match.
    """
    words = [*tokens(text), ("end", "")]
    opened = [word for _, word in words if word in "({" and word]
    closed = [word for _, word in words if word in ")}" and word]
    if [opened.count(each) for each in "({"] != [closed.count(each) for each in ")}"]:
        raise ValueError(f"the brackets of {text!r} do not match")
    selectors: list[Selector] = []
    labels: set[str] = set()
    at = 0
    while at < len(words):
        kind, word = words[at]
        following = words[at + 1][1] if at + 1 < len(words) else ""
        at += 1
        if kind != "name" or word in _WORDS:
            continue
        if word in _LISTS:
            end = words.index(("sign", ")"), at)
            labels |= {name for sort, name in words[at:end] if sort == "name"}
            at = end
        elif word in _FUNCTIONS and (following == "(" or following in _LISTS):
            continue
        elif following == "(":
            raise ValueError(f"{word} in {text!r} is an unknown function")
        elif following == "{":
            end = words.index(("sign", "}"), at)
            selectors.append(Selector(word, _matchers(words[at + 1 : end])))
            at = end
        else:
            selectors.append(Selector(word, ()))
    return Expression(tuple(selectors), frozenset(labels))


def _matchers(words: list[tuple[str, str]]) -> tuple[tuple[str, str, str], ...]:
    plain = [word for word in words if word != ("sign", ",")]
    parts = [plain[index : index + 3] for index in range(0, len(plain), 3)]
    if any([kind for kind, _ in part] != ["name", "sign", "string"] for part in parts):
        raise ValueError(f"{' '.join(word for _, word in words)!r} are no label matchers")
    return tuple((part[0][1], part[1][1], part[2][1].strip('"')) for part in parts)
