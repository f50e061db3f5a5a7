"""The command line, `tplus`."""

from service.cli.main import main

__all__ = ["main"]
