"""`tplus serve`: runs the API alone, in a process that loads nothing else."""

import typer

from service.app import serve as serve_api
from service.settings import load_settings

app = typer.Typer()


@app.command("serve")
def serve() -> None:
    """Run only the API, on a database that a scheduler fills."""
    serve_api(load_settings())
