"""The page's files: addresses that hold their content's hash, and plotly.min.js as installed."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from service.dashboard.assets import Asset, Assets, PlotlyFile

JAVASCRIPT = "text/javascript; charset=utf-8"


def assets(body: bytes, name: str = "main.js") -> Assets:
    """One file."""
    return Assets({name: Asset(body, JAVASCRIPT)})


def test_the_same_files_have_the_same_address() -> None:
    assert assets(b"1").address("main.js") == assets(b"1").address("main.js")


def test_another_content_has_another_address() -> None:
    assert assets(b"1").digest != assets(b"2").digest


def test_another_name_has_another_address() -> None:
    assert assets(b"1").digest != assets(b"1", "other.js").digest


def test_where_one_file_ends_and_the_next_begins_counts() -> None:
    split = Assets({"a.js": Asset(b"12", JAVASCRIPT), "b.js": Asset(b"3", JAVASCRIPT)})
    other = Assets({"a.js": Asset(b"1", JAVASCRIPT), "b.js": Asset(b"23", JAVASCRIPT)})
    assert split.digest != other.digest


def test_an_address_leads_through_the_hash_of_all_files() -> None:
    held = assets(b"1")
    assert held.address("main.js") == f"/static/dashboard/{held.digest}/main.js"
    assert len(held.digest) == 16


def test_the_package_brings_its_modules_its_style_and_its_icon() -> None:
    files = Assets.packaged().files
    assert {"main.js", "style.css", "icon.svg"} <= set(files)
    assert files["style.css"].media_type == "text/css; charset=utf-8"
    assert files["main.js"].media_type == JAVASCRIPT
    assert b"EventSource" in files["live.js"].body


def test_plotly_is_found_without_being_imported() -> None:
    code = (
        "import sys; from service.dashboard.assets import PlotlyFile; "
        "print(PlotlyFile.installed().path.name, 'plotly' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["plotly.min.js", "False"]


def test_plotly_is_named_after_its_content(tmp_path: Path) -> None:
    path = tmp_path / "plotly.min.js"
    path.write_bytes(b"abc")
    # The SHA-256 of "abc" begins so (FIPS 180-2, appendix B.1).
    assert PlotlyFile(path).address == "/static/plotly-ba7816bf8f01cfea.min.js"


def test_parts_that_would_write_a_style_are_found_by_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "plotly.min.js"
    mark = "0123456789abcdef" * 4
    path.write_text(f'if(!document.getElementById("{mark}")){{document.getElementById("chart")}}')
    assert PlotlyFile(path).style_marks == (mark,)


def test_what_is_compressed_is_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plotly.min.js"
    path.write_bytes(b"draw();" * 100)
    packed = PlotlyFile(path).compressed()
    assert len(packed) < 700
    assert gzip.decompress(packed) == b"draw();" * 100


def test_a_plotly_without_its_script_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.assets.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"plotly\.min\.js is missing; install the plotly of"):
        PlotlyFile.installed()
