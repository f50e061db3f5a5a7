"""Files of the page, read once: modules, style, and plotly.min.js of the installed plotly.

Every file has a hash of its content in its address, so a browser may cache it forever. The modules share one hash:
they import each other by relative address.
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
    """A file of the page, in memory."""

    body: bytes
    media_type: str


class Assets:
    """The page's files and their addresses.

    Attributes:
        files: Name -> file: only these are served.
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
        """Return the files of this package."""
        found = {}
        for item in resources.files(_PACKAGE).joinpath("static").iterdir():
            media_type = _TYPES.get(Path(item.name).suffix)
            if media_type is not None:
                found[item.name] = Asset(item.read_bytes(), media_type)
        return cls(found)

    def address(self, name: str) -> str:
        """Return the address of a file, such as `/static/dashboard/HASH/main.js`."""
        return f"{PREFIX}/{self.digest}/{name}"

    def page(self, plotly: "PlotlyFile", version: str, root_path: str = "", *, has_open_reads: bool = True) -> bytes:
        """Return the page: addresses only, no data.

        Args:
            plotly: The chart library.
            version: Version of the service.
            root_path: Path below which a proxy publishes the service; empty = `/`.
            has_open_reads: Whether the page shows data before anybody signs in.
        """
        environment = Environment(loader=PackageLoader(_PACKAGE), autoescape=True)
        modules = sorted(name for name in self.files if name.endswith(".js") and not _is_loaded_otherwise(name))
        rendered = environment.get_template("index.html").render(
            root=root_path,
            style=root_path + self.address("style.css"),
            icon=root_path + self.address("icon.svg"),
            main=root_path + self.address("main.js"),
            modules=[root_path + self.address(name) for name in modules],
            plotly=root_path + plotly.address,
            marks=plotly.style_marks,
            version=version,
            reads="open" if has_open_reads else "closed",
        )
        return rendered.encode()


def _is_loaded_otherwise(name: str) -> bool:
    """Return whether a module is the entry, or belongs to the admin section, which few visitors load."""
    return name == "main.js" or (name.startswith("admin") and name != "admin_tab.js")


class PlotlyFile:
    """plotly.min.js of the installed plotly, which is not imported: that would cost the process 30 MB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()

    @classmethod
    def installed(cls) -> "PlotlyFile":
        """Return the file of this environment.

        Raises:
            FileNotFoundError: plotly is not installed, or without its script.
        """
        spec = find_spec("plotly")
        folders = None if spec is None else spec.submodule_search_locations
        path = Path(next(iter(folders or []), "plotly")) / "package_data" / "plotly.min.js"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; install the plotly of requirements/base.txt for the charts")
        return cls(path)

    @property
    def digest(self) -> str:
        """Hash of its content, 16 hex digits."""
        return self._read[0]

    @property
    def style_marks(self) -> tuple[str, ...]:
        """Ids of elements that keep parts of the script from writing a style into the page.

        The map code writes one on load, unless an element with its id exists. No map is drawn here, and the page's
        content security policy would refuse the style with an error in the console.
        """
        return self._read[1]

    @property
    def address(self) -> str:
        """Address of the file."""
        return f"{PLOTLY_PREFIX}{self.digest}{PLOTLY_SUFFIX}"

    def body(self) -> bytes:
        """Return the file, one object for all answers; read at the first call."""
        with self._lock:
            return self._body

    def compressed(self) -> bytes:
        """Return the file as gzip, a third of the size; compressed at the first call."""
        with self._lock:
            return self._compressed

    @cached_property
    def _read(self) -> tuple[str, tuple[str, ...]]:
        body = self.path.read_bytes()
        marks = {found.decode() for found in _STYLE_MARK.findall(body)}
        return hashlib.sha256(body).hexdigest()[:_DIGITS], tuple(sorted(marks))

    @cached_property
    def _body(self) -> bytes:
        return self.path.read_bytes()

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self.path.read_bytes(), compresslevel=6, mtime=0)
