"""`make audit`: the lock, licences, secrets, bills of materials, and what pip-audit prints."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tools.audit.__main__ import main
from tools.audit.licences import ALLOWED, check_licences, is_allowed
from tools.audit.lock import Locked, read_lock
from tools.audit.sbom import find_shape_faults, make_sbom
from tools.audit.secrets_scan import scan
from tools.audit.vulnerabilities import check_vulnerabilities, read_result

LOCK = f"""\
alpha==1.2 \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha256:{"b" * 64}
    # via
    #   beta
    #   tplus (pyproject.toml)
beta[extra]==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:{"c" * 64}
    # via tplus (pyproject.toml)
"""
ALPHA = Locked("alpha", "1.2", "", ("a" * 64, "b" * 64), ("beta", "tplus"))
BETA = Locked("beta", "2.0", "sys_platform == 'win32'", ("c" * 64,), ("tplus",))


def lock(folder: Path, text: str) -> Path:
    path = folder / "run.txt"
    path.write_text(text)
    return path


def test_a_lock_is_read(tmp_path: Path) -> None:
    assert read_lock(lock(tmp_path, LOCK)) == [ALPHA, BETA]
    with pytest.raises(ValueError, match=r"run\.txt: alpha has no hash"):
        read_lock(lock(tmp_path, "alpha==1.2\nbeta==1\n"))
    with pytest.raises(ValueError, match="names no package"):
        read_lock(lock(tmp_path, ""))


@pytest.mark.parametrize("name", ["base", "run", "backtest", "gpu", "ray", "dev"])
def test_every_line_of_our_locks_is_read(name: str) -> None:
    path = ROOT / "requirements" / f"{name}.txt"
    pinned = [line for line in path.read_text().splitlines() if "==" in line.split(";")[0] and line[0].isalnum()]
    assert len(read_lock(path)) == len(pinned) > 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT", True), ("Apache-2.0 OR GPL-3.0-only", True), ("MIT AND PSF-2.0", True), ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False), ("", False), ("Proprietary", False), ("AGPL-3.0-only", False),
    ],
)  # fmt: skip
def test_a_licence_is_compared_with_the_list(text: str, expected: bool) -> None:
    assert is_allowed(text) is expected


def test_an_installed_package_has_its_licence_and_an_absent_one_is_named() -> None:
    result = check_licences([Locked("pytest", "9", "", ("a" * 64,), ()), Locked("no-such-package", "1", "", (), ())])
    assert (result.found, result.absent, result.refused) == ({"pytest": "MIT"}, ["no-such-package"], [])
    assert not {name for name in ALLOWED if name.startswith(("GPL", "AGPL", "LGPL"))}


SECRETS = (
    ("-----BEGIN " + "RSA PRIVATE KEY-----", "a private key"),
    ("key = AKIA" + "ABCDEFGHIJKLMNOP", "an access key of AWS"),
    ("ghp_" + "a1" * 18, "a token of GitHub"),
    ("postgresql://me:" + "s3cretpassw0rd@host/db", "a password in an address"),
    ("password = '" + "abcdefgh1234567890XYZ'", "a password"),
    ("tplus_" + "A1b2" * 11, "an API key of Tplus"),
    ("whsec_" + "A1b2" * 8, "a signing secret"),
)


@pytest.mark.parametrize(("line", "what"), SECRETS)
def test_a_secret_is_found_and_not_repeated(tmp_path: Path, line: str, what: str) -> None:
    (tmp_path / "notes.py").write_text(f"first line\n{line}\n")
    found = list(scan(tmp_path, ["notes.py", "missing.py"]))
    assert found == [f"notes.py:2: looks like {what}"]
    (tmp_path / "notes.py").write_text(f"first line\n{line}  # audit: planted\n")
    assert list(scan(tmp_path, ["notes.py"])) == []


@pytest.mark.parametrize(
    "line",
    ["postgresql://tplus@db:5432/tplus", "password: ${SECRET}", "token = 'short1'", "postgresql://me:***@h/x",
     "sha256:" + "a1" * 32],
)  # fmt: skip
def test_other_lines_are_not_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "notes.py").write_text(line)
    assert list(scan(tmp_path, ["notes.py"])) == []


def test_a_bill_of_materials_has_every_package_with_its_hashes() -> None:
    document = make_sbom([ALPHA, BETA], {"alpha": "MIT"}, "0.1.0")
    assert find_shape_faults(document) == []
    alpha, beta = document["components"]
    assert (alpha["purl"], beta["purl"]) == ("pkg:pypi/alpha@1.2", "pkg:pypi/beta@2.0")
    assert [each["content"] for each in alpha["hashes"]] == ["a" * 64, "b" * 64]
    assert alpha["licenses"] == [{"license": {"name": "MIT"}}]
    assert beta["properties"] == [{"name": "pep508:marker", "value": "sys_platform == 'win32'"}]
    assert {each["ref"]: each["dependsOn"] for each in document["dependencies"]} == {
        "pkg:pypi/alpha@1.2": [],
        "pkg:pypi/beta@2.0": ["pkg:pypi/alpha@1.2"],
        "pkg:pypi/tplus@0.1.0": ["pkg:pypi/alpha@1.2", "pkg:pypi/beta@2.0"],
    }
    assert make_sbom([ALPHA, BETA], {"alpha": "MIT"}, "0.1.0") == document


def test_a_wrong_shape_is_reported() -> None:
    document: dict[str, Any] = make_sbom([ALPHA], {}, "0.1.0")
    broken = deepcopy(document)
    broken["specVersion"] = "1.2"
    broken["components"][0]["hashes"] = []
    broken["components"][0]["purl"] = "alpha"
    broken["dependencies"][0]["dependsOn"] = ["pkg:pypi/none@1"]
    assert find_shape_faults(broken) == [
        "specVersion must be '1.6'",
        "alpha: alpha is not a package URL",
        "alpha needs distinct SHA-256 hashes of 64 digits",
        "dependencies name pkg:pypi/none@1, which is no component",
    ]


def test_what_pip_audit_prints_is_read() -> None:
    dependencies = [
        {"name": "alpha", "version": "1.2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.3"]}]},
        {"name": "beta", "version": "2.0", "vulns": []},
    ]
    result = read_result(json.dumps({"dependencies": dependencies}), "")
    assert (result.found, result.not_run) == (("alpha 1.2: PYSEC-1, fixed in 1.3",), None)
    unreachable = read_result("", "Traceback\nConnectionError: no route to host\n")
    assert unreachable.not_run == (
        "pip-audit gave no result, its database may be out of reach (ConnectionError: no route to host)"
    )
    assert read_result('{"dependencies": [{"name": "a", "skip_reason": "x"}]}', "").not_run is not None


def test_a_missing_pip_audit_is_said_and_is_no_finding(tmp_path: Path) -> None:
    path = lock(tmp_path, LOCK)
    assert "is not installed" in str(check_vulnerabilities(path, None).not_run)
    assert "did not end" in str(check_vulnerabilities(path, [str(tmp_path / "none")]).not_run)


def test_this_repository_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git repository")
    monkeypatch.setattr("tools.audit.__main__.find_pip_audit", lambda: None)  # the network is not a test's
    assert main(ROOT, tmp_path) == 0
    for name in ("base", "run", "gpu", "ray"):
        assert find_shape_faults(json.loads((tmp_path / f"sbom-{name}.cdx.json").read_text())) == []
