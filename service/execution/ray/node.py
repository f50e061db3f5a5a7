"""Command lines and environment of the nodes of a cluster: with a token, without usage statistics and dashboard."""

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.errors import SettingsError

MIN_TOKEN = 32
"""Least number of characters of a token."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node to start on this machine.

    Attributes:
        address: HOST:PORT of the cluster's head.
        ip: Address of this machine that the other nodes reach.
        is_head: Whether it is the head.
        cpus: Cores that it offers to tasks; None = all.
        gpus: GPUs that it offers; None = all.
        store_bytes: Size of its object store in shared memory; None = Ray's default, 30 % of the memory.
    """

    address: str
    ip: str
    is_head: bool = False
    cpus: int | None = None
    gpus: int | None = None
    store_bytes: int | None = None


def node_command(node: Node) -> list[str]:
    """Return the command that runs a node until it is ended."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
    command += [f"--node-ip-address={node.ip}"]
    if node.is_head:
        command += ["--head", f"--port={node.address.rpartition(':')[2]}", "--include-dashboard=false"]
    else:
        command += [f"--address={node.address}"]
    if node.cpus is not None:
        command += [f"--num-cpus={node.cpus}"]
    if node.gpus is not None:
        command += [f"--num-gpus={node.gpus}"]
    if node.store_bytes is not None:
        command += [f"--object-store-memory={node.store_bytes}"]
    return command


def cluster_variables(token_file: Path) -> Mapping[str, str]:
    """Return the environment of nodes and drivers: token mode and token are set, never taken from a home folder.

    Raises:
        SettingsError: The file cannot be read, or holds no token.
    """
    try:
        token = token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"TPLUS_RAY_TOKEN_FILE={token_file} cannot be read ({reason}); use a file that this process can read"
        ) from error
    if len(token) < MIN_TOKEN or any(letter.isspace() for letter in token):
        raise SettingsError(
            f"TPLUS_RAY_TOKEN_FILE={token_file} must hold one token of at least {MIN_TOKEN} characters; make one with "
            f"`openssl rand -hex 32 > {token_file}`"
        )
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file.absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def resolved(address: str) -> str:
    """Return HOST:PORT with the host's address for its name: Ray compares addresses.

    Raises:
        OSError: The name is unknown.
    """
    host, port = split_address(address)
    return f"{socket.gethostbyname(host)}:{port}"


def own_address(address: str, limit_seconds: float) -> str:
    """Return this machine's address towards a cluster's head, which is there.

    Raises:
        OSError: Nothing listens at the address within the limit.
    """
    with socket.create_connection(split_address(address), timeout=limit_seconds) as connection:
        return str(connection.getsockname()[0])
