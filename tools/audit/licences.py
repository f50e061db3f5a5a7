"""Compares the licences of the locked packages, as installed, with a list of those that are allowed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, metadata

from tools.audit.lock import Locked

ALLOWED = frozenset({
    "0BSD", "AFL-2.1", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0",
    "MPL-2.0", "NCSA", "PSF-2.0", "Unlicense", "Zlib",
})  # fmt: skip
"""SPDX names, and `BSD` where a package does not say which."""

EXCEPTIONS: Mapping[str, str] = {
    "axe-playwright-python": "MIT, by its repository; for tests",
    "namex": "Apache-2.0, by its repository",
    "peewee": "MIT, by its LICENSE file",
    "psycopg": "LGPL-3.0-only; used unchanged as a library",
    "psycopg-binary": "LGPL-3.0-only; used unchanged as a library",
    "text-unidecode": "Artistic or GPL at choice; for tests",
}
"""Package -> why it is allowed although its metadata names no licence of the list."""

_NAMES: Mapping[str, str] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
"""Texts of older metadata -> SPDX."""


@dataclass
class Licences:
    """What was found.

    Attributes:
        found: Package -> licence, as its metadata has it.
        refused: Sentences about packages whose licence is not allowed.
        absent: Packages that are not installed here.
    """

    found: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def check_licences(packages: Iterable[Locked]) -> Licences:
    """Return the licences of the packages that are installed here."""
    result = Licences()
    for package in packages:
        try:
            text = licence_of(package.name)
        except PackageNotFoundError:
            result.absent.append(package.name)
            continue
        result.found[package.name] = text
        if not is_allowed(text) and package.name not in EXCEPTIONS:
            result.refused.append(f"{package.name} {package.version}: {text or 'no licence named'}")
    return result


def licence_of(name: str) -> str:
    """Return the licence of an installed package: its SPDX expression, its classifiers joined by OR, or its text.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    found = metadata(name)
    expression = found["License-Expression"]
    if expression:
        return str(expression)
    classifiers = [
        item.split("::")[-1].strip() for item in found.get_all("Classifier") or [] if item.startswith("License")
    ]
    named = [item for item in classifiers if item not in ("OSI Approved", "DFSG approved")]
    if named:
        return " OR ".join(_NAMES.get(item.lower(), item) for item in named)
    text = (found["License"] or "").strip().splitlines()
    return _NAMES.get(text[0].lower(), text[0]) if text else ""


def is_allowed(expression: str) -> bool:
    """Return whether an SPDX expression allows a choice of licences from the list; brackets are not needed so far."""
    alternatives = re.split(r"\s+OR\s+", expression)
    return any(all(term in ALLOWED for term in re.split(r"\s+AND\s+", each)) for each in alternatives)
