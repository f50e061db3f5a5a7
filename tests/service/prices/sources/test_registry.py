"""Price sources by the value of the setting."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.prices.sources.files import FilesSource
from service.prices.sources.registry import make_source
from service.prices.sources.sample import SampleSource
from service.prices.sources.yahoo import YahooSource


def test_each_value_creates_its_source(tmp_path: Path) -> None:
    assert isinstance(make_source("sample"), SampleSource)
    folder = make_source(f"files:{tmp_path}")
    assert isinstance(folder, FilesSource)
    assert folder.name == f"files:{tmp_path.resolve()}"
    assert isinstance(make_source("yahoo", tmp_path, "http://127.0.0.1:1"), YahooSource)


@pytest.mark.parametrize("spec", ["", "Sample", "files:", "files", "stooq"])
def test_other_values_are_refused(spec: str) -> None:
    with pytest.raises(SettingsError, match="is not a price source; use sample, files:DIR or yahoo"):
        make_source(spec)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such folder"):
        make_source(f"files:{tmp_path / 'nowhere'}")


def test_a_remote_stand_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a stand-in on this machine"):
        make_source("yahoo", tmp_path, "http://example.org:80")
