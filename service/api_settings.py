"""Settings of the API: where it listens, who may reach it, and its limits; `Settings` inherits them."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from limits import parse
from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from service.validation_messages import shown
from service.vocabulary import Scope

_OWN_PATHS = ("docs", "healthz", "metrics", "openapi.json", "readyz", "static", "static-offline-docs", "v1")
"""First parts of the API's own paths: a prefix among them would make requests ambiguous."""

NO_LIMIT = "off"
MEMORY = "memory"
"""Value of `TPLUS_RATE_LIMIT_STORAGE`: the workers count together in shared memory of this machine."""

DEFAULT_RATE_LIMIT = "600/minute"
DEFAULT_RATE_LIMIT_WRITES = "60/minute"
"""Rate limits without a setting; clients on this machine are then not limited."""

_RATE = re.compile(r"[1-9]\d{0,5}/([1-9]\d{0,3} ?)?(second|minute|hour|day)s?")
_LONGEST_WINDOW = 86400
_HOST = re.compile(r"(\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}))")
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?")
_STORAGE = re.compile(r"(redis|rediss|redis\+unix)://\S{1,500}")


def split_list(value: object) -> object:
    """Return the parts of a text separated by commas; anything else unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


TextList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]

ScopeList = Annotated[tuple[Scope, ...], NoDecode, BeforeValidator(split_list)]


class ApiSettings(BaseSettings):
    """Where the API listens, who may reach it, and its limits."""

    host: str = Field("127.0.0.1", description="address the API listens on")
    port: int = Field(8000, ge=1, le=65535, description="port the API listens on")
    open_reads: bool | None = Field(
        None, description="whether reads need no key; unset = only while the API listens on loopback"
    )
    api_key_file: Path | None = Field(
        None, description="file with one token, stored at the start as the key `compose`; a new token replaces it"
    )
    api_key_scopes: ScopeList = Field(
        tuple(Scope), description="scopes of that key, separated by commas: `read`, `run`, `admin`"
    )
    root_path: str = Field(
        "", max_length=200, description="path below which a proxy publishes the service, such as `/tplus`; empty = `/`"
    )
    workers: int = Field(
        1, ge=1, le=64, description="processes that serve the API on one port; each has its share of the connections"
    )
    allowed_hosts: TextList = Field(
        (),
        description="host names in `Host`, separated by commas: `api.example.com`, `*.example.com`, or `*` for any; "
        "empty = names of this machine and `TPLUS_HOST`, and, unless it listens on loopback alone, any IP address",
    )
    trusted_proxies: TextList = Field(
        (), description="addresses or networks of proxies whose `X-Forwarded-For` and `-Proto` count"
    )
    cors_origins: TextList = Field(
        (), description="origins of other sites whose scripts may read the API, such as `https://app.example.com`"
    )
    rate_limit: str | None = Field(
        None,
        description="most requests of one key or address, such as `600/minute`; `off` = no limit; unset = `600/minute` "
        "and no limit for clients on this machine",
    )
    rate_limit_writes: str | None = Field(
        None, description="the same for requests other than GET, which count in both; unset = `60/minute`"
    )
    rate_limit_storage: SecretStr = Field(
        SecretStr(MEMORY),
        description="where requests are counted: `memory`, shared by the workers, or `redis://host:port/0`, shared by "
        "several machines (extra `redis`)",
    )
    max_connections: int = Field(512, ge=8, le=100_000, description="most open connections, over all workers")
    max_connections_per_address: int = Field(
        128, ge=2, le=100_000, description="the same from one address that is not a trusted proxy, in each worker"
    )
    max_requests: int = Field(
        256, ge=2, le=100_000, description="most requests at a time over all workers, and half of it from one address"
    )
    max_event_streams: int = Field(
        256, ge=2, le=100_000, description="most streams of `/v1/events`, and a quarter of it from one address"
    )
    max_body_bytes: int = Field(65_536, ge=1024, le=16_777_216, description="largest body of a request")
    answer_cache_mb: int = Field(
        64,
        ge=0,
        le=65_536,
        description="memory for answers that are kept ready, in MB for each worker; a forecast takes about 14 kB; "
        "0 = none are kept",
    )
    request_seconds: float = Field(
        10.0, gt=0, le=600, description="time limit for a request's headers to arrive, and for its body"
    )

    max_open_requests: int = Field(100, ge=1, le=100_000, description="most run requests over HTTP that are not done")
    pulls_per_hour: int = Field(
        60, ge=1, le=100_000, description="most pulls that are requested over HTTP in an hour; a new symbol is one"
    )
    pulls_per_day: int = Field(500, ge=1, le=1_000_000, description="the same in 24 hours")
    access_log: bool = Field(True, description="whether the API writes one log line per request")
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port that serves the metrics without a key; unset = `/metrics` of the API only",
    )
    metrics_host: str = Field("127.0.0.1", description="address of `TPLUS_METRICS_PORT`")

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", path):
            raise ValueError("must be a path such as /tplus, of letters, digits and ._~-")
        if path.split("/")[1:2] and path.split("/")[1] in _OWN_PATHS:
            raise ValueError(f"must not begin with a path of the service itself: {', '.join(_OWN_PATHS)}")
        return path

    @field_validator("rate_limit", "rate_limit_writes")
    @classmethod
    def _check_rate(cls, value: str | None) -> str | None:
        if value is None or value == NO_LIMIT:
            return value
        if not _RATE.fullmatch(value) or parse(value).get_expiry() > _LONGEST_WINDOW:
            raise ValueError("must be off, or requests and a time such as 600/minute or 20/10 seconds, at most a day")
        return value

    @field_validator("rate_limit_storage")
    @classmethod
    def _check_storage(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() != MEMORY and not _STORAGE.fullmatch(value.get_secret_value()):
            raise ValueError("must be memory, or the address of a Redis server such as redis://127.0.0.1:6379/0")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host) and not _is_address(host.strip("[]")):
                raise ValueError(f"{shown(host)} must be a host name without a port, such as api.example.com")
        return tuple(host.lower() for host in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"{shown(proxy)} must be an address or a network such as 10.0.0.2 or 10.0.0.0/24"
                ) from error
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_cors(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{shown(origin)} must be an origin without a path, such as https://app.example.com")
        return tuple(origin.lower() for origin in value)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
