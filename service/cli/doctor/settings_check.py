"""The settings in force, and variables that are no setting."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from service.cli.doctor.findings import Finding, error, ok
from service.errors import SettingsError
from service.log_config import mask_secrets
from service.settings import PREFIX, Settings, load_settings, unknown_settings

_SECRET_WORDS = ("password", "secret", "token", "key")


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting as text, secrets masked, and whether it has its default."""

    value: str
    is_default: bool


def load_known(variables: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """Return the settings of the known variables, None if one cannot be used, and what is wrong."""
    unknown = unknown_settings(variables)
    findings = [error("settings", f"{name} is not a setting; {hint}") for name, hint in unknown.items()]
    known = {name: value for name, value in variables.items() if name not in unknown}
    try:
        return load_settings(known), findings
    except SettingsError as fault:
        return None, [*findings, *(error("settings", part) for part in re.split(r"; (?=TPLUS_)", str(fault)))]


def shown_settings(settings: Settings) -> dict[str, ShownSetting]:
    """Return every setting by the name of its variable."""
    return {
        f"{PREFIX}{name.upper()}": ShownSetting(_shown(name, value), value == field.default)
        for name, field in Settings.model_fields.items()
        if (value := getattr(settings, name)) is not None or field.default is None
    }


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yield the settings that differ from their defaults."""
    changed = [f"{name}={each.value}" for name, each in shown_settings(settings).items() if not each.is_default]
    yield ok("settings", f"{', '.join(changed) or 'none is set'}; all others have their defaults")


def _shown(name: str, value: Any) -> str:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return mask_secrets(text) if "://" in text else "***"
    if value is None:
        return ""
    if any(word in name.split("_") for word in _SECRET_WORDS) and not name.endswith("_file"):
        return "***"
    return mask_secrets(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
