"""Parses targets: an https URL is a webhook, everything else an Apprise URL of a listed service."""

import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_plus, urlsplit

from service.alerts.targets.addresses import RESOLVE_SECONDS, AddressRule, RefusedAddress, UnknownHost
from service.errors import TplusError
from service.vocabulary import TargetKind

MAX_LENGTH = 2_000
"""Most characters of a target."""

TARGET_PATTERN = r"^[\x21-\x7e]{4,2000}$"
"""Printable ASCII without spaces; other characters of a URL are percent-encoded."""

VENDOR_SERVICES = frozenset(
    {
        "discord", "gchat", "mailgun", "msteams", "opsgenie", "pagerduty", "pbul", "pover", "resend", "sendgrid",
        "slack", "ses", "sns", "tgram", "twilio", "vonage", "webex", "workflows", "wxteams", "zulip",
    }
)  # fmt: skip
"""Apprise services whose hosts Apprise itself knows, reached over TLS."""

HOST_SERVICES = frozenset({"forms", "gotifys", "jsons", "mailtos", "matrixs", "mmosts", "ntfys", "rockets", "xmls"})
"""Apprise services with a host in their URL, over TLS: the rule for addresses holds for it."""

_REFUSED_PARAMETERS = frozenset(
    {"attach", "cert", "config", "file", "include", "key", "keyfile", "pgp", "pgpkey", "smime", "subfile", "template",
     "templates", "verify", "redirect"}
)  # fmt: skip
"""Parameters of Apprise URLs that read local files, or turn the check of certificates off."""

_SHOWN = 200


class BadTarget(TplusError):
    """A target is not accepted; the message says why, without the target's secret parts."""


@dataclass(frozen=True, slots=True)
class Target:
    """An accepted target.

    Attributes:
        kind: How it is sent to.
        url: The whole URL; secret.
        shown: What may be shown: scheme and host, never path, user or query.
    """

    kind: TargetKind
    url: str = field(repr=False)
    shown: str


def parse_target(text: str, rule: AddressRule) -> Target:
    """Return a target whose host is accepted now.

    Args:
        text: What a person gives.
        rule: The rule for addresses.

    Raises:
        BadTarget: it is not a URL that alerts can go to.
        RefusedAddress: its host has an address that is not public.
        UnknownHost: its host does not resolve.
    """
    if not re.fullmatch(TARGET_PATTERN, text):
        raise BadTarget(
            f"a target is a URL of 4 to {MAX_LENGTH} printable ASCII characters without spaces; "
            "percent-encode all others"
        )
    scheme = text.partition("://")[0].lower()
    if "://" not in text:
        raise BadTarget("the target is not a URL; write https://host/path, or an Apprise URL such as slack://...")
    if scheme in ("http", "https"):
        return _webhook(text, rule)
    return _apprise(text, scheme, rule)


def _webhook(text: str, rule: AddressRule) -> Target:
    parts, host, port = _split(text)
    if parts.username is not None or parts.password is not None:
        raise BadTarget("the URL has a user or password; webhooks are signed instead, remove it")
    if parts.fragment:
        raise BadTarget("the URL has a fragment (#...), which is never sent; remove it")
    _check_host(host, port or (443 if parts.scheme == "https" else 80), rule)
    if parts.scheme == "http":
        _require_loopback(host, port or 80, rule)
    where = host if port is None else f"{host}:{port}"
    rest = "/..." if parts.path not in ("", "/") or parts.query else "/"
    return Target(TargetKind.WEBHOOK, text, f"{parts.scheme}://{where[:_SHOWN]}{rest}")


def _require_loopback(host: str, port: int, rule: AddressRule) -> None:
    """Raise unless plain http stays on this machine.

    Raises:
        BadTarget: it does not, or the setting does not allow it.
    """
    try:
        replace(rule, only_loopback=True).resolve(host, port, RESOLVE_SECONDS)
    except RefusedAddress as error:
        raise BadTarget(
            "webhooks need https; plain http is for loopback addresses, with TPLUS_ALERT_LOOPBACK_HTTP=true"
        ) from error


def _apprise(text: str, scheme: str, rule: AddressRule) -> Target:
    if scheme not in VENDOR_SERVICES | HOST_SERVICES:
        known = ", ".join(sorted(VENDOR_SERVICES | HOST_SERVICES))
        raise BadTarget(f"alerts cannot go to {scheme[:20]}://; use https:// or one of {known}")
    parameters = _parameters(text)
    refused = sorted({name for name, _ in parameters} & _REFUSED_PARAMETERS)
    if ("mode", "insecure") in parameters:
        raise BadTarget("mode=insecure sends mail without TLS; use mode=starttls or mode=ssl")
    if refused:
        raise BadTarget(f"the parameter {refused[0]} is not accepted in a target; remove it")
    shown = f"{scheme}://..."
    if scheme in HOST_SERVICES:
        _, host, port = _split(text)
        if "." in host or ":" in host or host == "localhost":  # else a topic or a token, and the host is the vendor's
            _check_host(host, port or 443, rule)
            shown = f"{scheme}://{host[:_SHOWN]}/..."
    return Target(TargetKind.APPRISE, text, shown)


def _parameters(text: str) -> set[tuple[str, str]]:
    """Return the parameters of an Apprise URL as Apprise reads them: also after a #, also separated by `;`.

    A name that is repeated has all its values: which one counts is up to each service.
    """
    pairs = (part.partition("=") for part in re.split("[?&;#]", text.partition("?")[2]))
    return {
        (unquote_plus(name).strip().lstrip("+-: ").lower(), unquote_plus(value).lower()) for name, _, value in pairs
    }


def _check_host(host: str, port: int, rule: AddressRule) -> None:
    try:
        rule.resolve(host, port, RESOLVE_SECONDS)
    except UnknownHost as error:
        raise UnknownHost(f"{error}, or add the target when the network is back") from error


def _split(text: str) -> tuple["_Parts", str, int | None]:
    """Return the parts of a URL, its host in lower case, and its port.

    Raises:
        BadTarget: it has no host, or no valid port.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadTarget("the target's host or port is not valid; write https://host:port/path") from error
    if not host or port == 0 or "\\" in text:
        raise BadTarget("the target has no valid host; write https://host/path")
    return (
        _Parts(parts.scheme.lower(), parts.username, parts.password, parts.path, parts.query, parts.fragment),
        (host.rstrip(".") or host),
        port,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a URL that are looked at."""

    scheme: str
    username: str | None
    password: str | None
    path: str
    query: str
    fragment: str
