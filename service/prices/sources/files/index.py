"""Indexes a folder of price files: the files of each symbol, manifests and lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from service.errors import SourceError
from service.market.exchange_codes import calendar_for
from service.prices.sources.base import Action, InstrumentMeta
from service.prices.sources.files.limits import fault, printable, walk
from service.prices.sources.files.names import FileName, parse_name, price_suffix
from service.prices.sources.files.reader import symbols_of
from service.prices.sources.files.side_tables import (
    ACTIONS,
    MANIFEST,
    SYMBOLS,
    instrument_type,
    read_actions,
    read_file_symbols,
    read_metas,
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The state of a file: path, modification time in nanoseconds, size in bytes."""

    path: Path
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a price file holds by its head.

    Attributes:
        state: State of the file when it was read; None if it is missing.
        name: What its name says, or the list of symbols of files.
        symbols: Its symbols; if it cannot be read, the one of its name.
        reason: Why it cannot be read, None if it can.
    """

    state: Fingerprint | None
    name: FileName
    symbols: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FolderIndex:
    """Index of a folder.

    Attributes:
        files: Files by symbol; more than one is an error for that symbol.
        actions: Actions by symbol, for the symbols in a list of actions.
        metas: Metadata of the manifests by symbol; `calendar` is always set.
        names: Symbols of files by a list of them.
        side_tables: States of the manifests and lists that were read.
        claims: What each price file holds.
        skipped: Files with another ending, which are not read.
        unread: Sentences about folders that cannot be read.
    """

    files: dict[str, tuple[Path, ...]]
    actions: dict[str, tuple[Action, ...]]
    metas: dict[str, InstrumentMeta]
    names: dict[Path, str]
    side_tables: tuple[Fingerprint, ...]
    claims: dict[Path, Claim]
    skipped: tuple[Path, ...]
    unread: tuple[str, ...]

    def meta(self, symbol: str) -> InstrumentMeta:
        """Return the metadata of a symbol from the manifest, else derived from its name."""
        return meta_of(symbol, self.metas)


def meta_of(symbol: str, metas: dict[str, InstrumentMeta]) -> InstrumentMeta:
    """Return the metadata of a symbol from the manifests, else by its name."""
    if symbol in metas:
        return metas[symbol]
    calendar = calendar_for(symbol)
    return InstrumentMeta(calendar=calendar, instrument_type=instrument_type(symbol, calendar))


def fingerprint(path: Path) -> Fingerprint:
    """Return the state of a file; OSError if it is missing."""
    state = path.stat()
    return Fingerprint(path, state.st_mtime_ns, state.st_size)


def index_folder(folder: Path, earlier: FolderIndex | None = None) -> FolderIndex:
    """Index every price file in a folder and all folders below it.

    Args:
        folder: The folder. Names that begin with a dot are skipped.
        earlier: An earlier index; what it says about files that have not changed is reused.

    Raises:
        Malformed: A manifest or list cannot be read, or there are too many files.
    """
    unread: list[str] = []
    paths = list(walk(folder, lambda error: unread.append(_folder_fault(error))))
    by_kind = [[path for path in paths if path.name in names] for names in (ACTIONS, MANIFEST, SYMBOLS)]
    actions, manifests, lists = by_kind
    state = tuple(_state(path) for path in actions + manifests + lists)
    if earlier is not None and earlier.side_tables == state:
        listed, metas, names, known = earlier.actions, earlier.metas, earlier.names, earlier.claims
    else:
        listed, metas, names = read_actions(actions), read_metas(manifests), read_file_symbols(lists)
        known = {}
    sides = {path for group in by_kind for path in group}
    priced = [path for path in paths if path not in sides and price_suffix(path.name)]
    claims = {path: _claim(path, names.get(path), known.get(path)) for path in priced}
    skipped = tuple(path for path in paths if path not in sides and path not in claims)
    return FolderIndex(_files(claims), listed, metas, names, state, claims, skipped, tuple(unread))


def _state(path: Path) -> Fingerprint:
    try:
        return fingerprint(path)
    except OSError as error:
        raise fault(path, None, f"cannot be read ({error.strerror}); replace the file") from error


def _folder_fault(error: OSError) -> str:
    return f"{printable(error.filename)}: the folder cannot be read ({error.strerror}); change its permissions"


def _claim(path: Path, listed: str | None, earlier: Claim | None) -> Claim:
    name = parse_name(path.name)
    if listed is not None:
        name = FileName(listed, name.vendor)
    try:
        state = _state(path)
        if earlier is not None and earlier.state == state:
            return earlier
        return Claim(state, name, symbols_of(path, name))
    except SourceError as error:
        # The file keeps its symbol, so that a fetch of it says why it cannot be read.
        return Claim(None, name, (name.symbol,) if name.symbol else (), str(error))


def _files(claims: dict[Path, Claim]) -> dict[str, tuple[Path, ...]]:
    """Return the files by symbol.

    One that cannot be read counts only where no other holds its symbol.
    """
    files: dict[str, list[Path]] = {}
    for path, claim in claims.items():
        if claim.reason is None:
            _add(files, claim.symbols, path)
    readable = set(files)
    for path, claim in claims.items():
        if claim.reason is not None:
            _add(files, [symbol for symbol in claim.symbols if symbol not in readable], path)
    return {symbol: tuple(paths) for symbol, paths in sorted(files.items())}


def _add(files: dict[str, list[Path]], symbols: Iterable[str], path: Path) -> None:
    for symbol in symbols:
        files.setdefault(symbol, []).append(path)
