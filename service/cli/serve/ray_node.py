"""`tplus ray-node`: runs a node of the Ray cluster, with the token of the settings."""

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from service.errors import SettingsError, TplusError
from service.execution.ray.node import Node, cluster_variables, node_command, own_address, resolved, split_address
from service.settings import child_environment, load_settings

_MOST = 1024

app = typer.Typer()


@app.command("ray-node")
def ray_node(
    head: bool = typer.Option(False, "--head", help="Run the head, at the address of TPLUS_EXECUTOR."),
    ip: Annotated[
        str, typer.Option("--ip", metavar="ADDRESS", help="Address of this machine that the other nodes reach.")
    ] = "",
    cpus: Annotated[
        int | None, typer.Option("--cpus", min=0, max=_MOST, metavar="N", help="Cores offered; default: all.")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", min=0, max=_MOST, metavar="N", help="GPUs offered; default: all.")
    ] = None,
    store_megabytes: Annotated[
        int | None,
        typer.Option("--store", min=80, max=_MOST * _MOST, metavar="MB", help="Size of the object store."),
    ] = None,
) -> None:
    """Run a node of the Ray cluster that TPLUS_EXECUTOR names, until it is ended.

    A client that reaches a node's ports with the token can run any program there: use a private network.
    """
    settings = load_settings()
    address, token_file = settings.ray_address, settings.ray_token_file
    if address is None or token_file is None:
        raise SettingsError("TPLUS_EXECUTOR=local names no cluster; set it to ray:HOST:PORT, the address of the head")
    if find_spec("ray") is None:
        raise SettingsError(
            "the extra ray is not installed; install it with `pip install --require-hashes -r requirements/ray.txt`"
        )
    try:
        address = resolved(address)
        own = ip or (split_address(address)[0] if head else own_address(address, settings.ray_connect_seconds))
    except OSError as error:
        raise TplusError(
            f"the head of the cluster at {address} cannot be reached ({error}); start it with `tplus ray-node --head`, "
            "or correct TPLUS_EXECUTOR"
        ) from error
    store = None if store_megabytes is None else store_megabytes * 2**20
    command = node_command(Node(address, own, head, cpus, gpus, store))
    os.execve(command[0], command, child_environment(cluster_variables(token_file)))
