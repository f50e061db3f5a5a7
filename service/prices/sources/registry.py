"""Creates the price source that the setting TPLUS_SOURCE names."""

from pathlib import Path

from service.errors import SettingsError
from service.prices.sources.base import PriceSource

_FILES = "files:"


def make_source(spec: str, cache_dir: Path | None = None, standin_url: str | None = None) -> PriceSource:
    """Return the source that a setting names.

    Args:
        spec: `sample`, `files:DIR` or `yahoo`.
        cache_dir: Folder for the private cache of `yahoo`; None = the system's temporary folder.
        standin_url: URL of a loopback stand-in for Yahoo; None in production.

    Raises:
        SettingsError: No source has that name, the folder does not exist, or the stand-in is not on loopback.
    """
    # Imported here because each source needs libraries that the others do not.
    if spec == "sample":
        from service.prices.sources.sample import SampleSource

        return SampleSource()
    if spec.startswith(_FILES) and len(spec) > len(_FILES):
        from service.prices.sources.files import FilesSource

        return FilesSource(Path(spec.removeprefix(_FILES)))
    if spec == "yahoo":
        from service.prices.sources.yahoo import YahooSource

        return YahooSource(cache_dir, standin_url)
    raise SettingsError(f"TPLUS_SOURCE {spec!r} is not a price source; use sample, files:DIR or yahoo")
