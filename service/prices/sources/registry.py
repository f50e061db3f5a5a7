"""Price sources by the words of the setting TPLUS_SOURCE."""

from pathlib import Path

from service.errors import SettingsError
from service.prices.sources.base import PriceSource

_FILES = "files:"


def make_source(spec: str, cache_dir: Path | None = None, standin_url: str | None = None) -> PriceSource:
    """Make the source that a setting names.

    Args:
        spec: `sample`, `files:DIR` or `yahoo`.
        cache_dir: Where `yahoo` may make its private cache folder; the system's temporary folder where None.
        standin_url: For `yahoo` alone: a loopback stand-in to ask instead of Yahoo, None in production.

    Raises:
        SettingsError: No source has that name, the folder does not exist, or the stand-in is not loopback.
    """
    # Imported here: each source brings libraries that the others can do without.
    if spec == "sample":
        from service.prices.sources.sample import SampleSource

        return SampleSource()
    if spec.startswith(_FILES) and len(spec) > len(_FILES):
        from service.prices.sources.files import FilesSource

        return FilesSource(Path(spec.removeprefix(_FILES)))
    if spec == "yahoo":
        from service.prices.sources.yahoo import YahooSource

        return YahooSource(cache_dir, standin_url)
    raise SettingsError(f"TPLUS_SOURCE {spec!r} names no price source; take sample, files:DIR or yahoo")
