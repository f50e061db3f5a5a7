"""What the page is made of, read once: its modules and style, and plotly.min.js out of the installed plotly.

Everything is served under an address that holds a hash of its content, so a browser may keep it for good.
The modules share one hash: they import each other by relative address, which keeps them in the same folder.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from jinja2 import Environment, PackageLoader

PREFIX = "/static/dashboard"
PLOTLY_PREFIX = "/static/plotly-"
PLOTLY_SUFFIX = ".min.js"

_PACKAGE = "service.dashboard"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_DIGITS = 16
_STYLE_MARK = re.compile(rb"""document\.getElementById\(["']([0-9a-f]{64})["']\)""")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, held in memory."""

    body: bytes
    media_type: str


class Assets:
    """The page's files and their addresses.

    Attributes:
        files: Name -> file: the whole of what can be asked for, so that no address leads elsewhere.
        digest: Hash over the names and contents of all files, 16 hex digits.
    """

    def __init__(self, files: Mapping[str, Asset]) -> None:
        self.files = dict(files)
        whole = hashlib.sha256()
        for name, asset in sorted(self.files.items()):
            whole.update(f"{name}\n{len(asset.body)}\n".encode() + asset.body)
        self.digest = whole.hexdigest()[:_DIGITS]

    @classmethod
    def packaged(cls) -> "Assets":
        """The files that come with this package."""
        found = {}
        for item in resources.files(_PACKAGE).joinpath("static").iterdir():
            media_type = _TYPES.get(Path(item.name).suffix)
            if media_type is not None:
                found[item.name] = Asset(item.read_bytes(), media_type)
        return cls(found)

    def address(self, name: str) -> str:
        """Where a file is served, such as `/static/dashboard/HASH/main.js`."""
        return f"{PREFIX}/{self.digest}/{name}"

    def page(self, plotly: "PlotlyFile", version: str) -> bytes:
        """The page: addresses alone, no data.

        Args:
            plotly: What draws the charts.
            version: Of the service.
        """
        environment = Environment(loader=PackageLoader(_PACKAGE), autoescape=True)
        modules = sorted(name for name in self.files if name.endswith(".js") and name != "main.js")
        rendered = environment.get_template("index.html").render(
            style=self.address("style.css"),
            icon=self.address("icon.svg"),
            main=self.address("main.js"),
            modules=[self.address(name) for name in modules],
            plotly=plotly.address,
            marks=plotly.style_marks,
            version=version,
        )
        return rendered.encode()


class PlotlyFile:
    """plotly.min.js as it lies in the installed plotly, which is never imported: it would cost the process 30 MB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()

    @classmethod
    def installed(cls) -> "PlotlyFile":
        """The file of this environment.

        Raises:
            FileNotFoundError: plotly is not installed, or without its script.
        """
        spec = find_spec("plotly")
        folders = None if spec is None else spec.submodule_search_locations
        path = Path(next(iter(folders or []), "plotly")) / "package_data" / "plotly.min.js"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is absent; install the plotly of requirements/base.txt for the charts")
        return cls(path)

    @property
    def digest(self) -> str:
        """Hash of its content, 16 hex digits."""
        return self._read[0]

    @property
    def style_marks(self) -> tuple[str, ...]:
        """Ids that make parts of the script leave out the style that they would write into the page.

        The maps inside write one as soon as the script is loaded, unless an element of a certain id is there. No map
        is drawn here, and the page's policy would refuse the style with an error in the console.
        """
        return self._read[1]

    @property
    def address(self) -> str:
        """Where it is served."""
        return f"{PLOTLY_PREFIX}{self.digest}{PLOTLY_SUFFIX}"

    def compressed(self) -> bytes:
        """It as gzip, a third of the size; made at the first call, which takes a fraction of a second."""
        with self._lock:
            return self._compressed

    @cached_property
    def _read(self) -> tuple[str, tuple[str, ...]]:
        body = self.path.read_bytes()
        marks = {found.decode() for found in _STYLE_MARK.findall(body)}
        return hashlib.sha256(body).hexdigest()[:_DIGITS], tuple(sorted(marks))

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self.path.read_bytes(), compresslevel=6, mtime=0)
