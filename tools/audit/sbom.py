"""Writes a software bill of materials (CycloneDX 1.6, JSON) from a lock file, with the hash of every distribution."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tools.audit.lock import PROJECT, Locked

_PURL = re.compile(r"pkg:pypi/[a-z0-9][a-z0-9.-]*@[A-Za-z0-9.+!_-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def make_sbom(packages: Sequence[Locked], licences: Mapping[str, str], version: str) -> dict[str, Any]:
    """Return the document; equal for an equal lock.

    Args:
        packages: The packages of a lock file.
        licences: Package -> licence, of those that are known.
        version: Version of the project.
    """
    main = f"pkg:pypi/{PROJECT}@{version}"
    known = {package.name: _purl(package) for package in packages} | {PROJECT: main}
    uses: dict[str, set[str]] = {reference: set() for reference in known.values()}
    for package in packages:
        for name in package.needed_by:
            if name in known:
                uses[known[name]].add(_purl(package))
    application = {"type": "application", "bom-ref": main, "name": PROJECT, "version": version, "purl": main}
    body = {
        "metadata": {"component": application},
        "components": [_component(package, licences.get(package.name)) for package in packages],
        "dependencies": [{"ref": each, "dependsOn": sorted(needed)} for each, needed in sorted(uses.items())],
    }  # fmt: skip
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return head | body


def find_shape_faults(document: Mapping[str, Any]) -> list[str]:
    """Return what in a document is not as CycloneDX 1.6 wants it: required fields, forms, references."""
    faults = []
    for name, value in (("bomFormat", "CycloneDX"), ("specVersion", "1.6"), ("version", 1)):
        if document.get(name) != value:
            faults.append(f"{name} must be {value!r}")
    if not re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(document.get("serialNumber"))):
        faults.append("serialNumber must be a urn:uuid")
    components = [document["metadata"]["component"], *document["components"]]
    references = [each.get("bom-ref") for each in components]
    if len(set(references)) != len(references):
        faults.append("a bom-ref is used twice")
    for each in components:
        where = each.get("name", "a component")
        faults += [f"{where} has no {name}" for name in ("type", "name", "version", "purl") if not each.get(name)]
        if not _PURL.fullmatch(str(each.get("purl"))):
            faults.append(f"{where}: {each.get('purl')} is not a package URL")
    for each in document["components"]:
        contents = [item.get("content", "") for item in each.get("hashes", ()) if item.get("alg") == "SHA-256"]
        if not contents or not all(_SHA256.fullmatch(text) for text in contents) or len(set(contents)) != len(contents):
            faults.append(f"{each['name']} needs distinct SHA-256 hashes of 64 digits")
    for entry in document["dependencies"]:
        unknown = {entry["ref"], *entry["dependsOn"]} - set(references)
        faults += [f"dependencies name {each}, which is no component" for each in sorted(unknown)]
    return faults


def _component(package: Locked, licence: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "library", "bom-ref": _purl(package), "name": package.name, "version": package.version,
        "purl": _purl(package), "hashes": [{"alg": "SHA-256", "content": text} for text in package.hashes],
    }  # fmt: skip
    if licence:
        found["licenses"] = [{"license": {"name": licence}}]
    if package.marker:
        found["properties"] = [{"name": "pep508:marker", "value": package.marker}]
    return found


def _purl(package: Locked) -> str:
    return f"pkg:pypi/{package.name.replace('_', '-')}@{package.version}"
