"""Words of a command that the standard library reads."""

import argparse
from typing import NoReturn

from service.errors import SettingsError


class CommandParser(argparse.ArgumentParser):
    """Tells what is wrong as every command does: one sentence, exit status 2. Its `prog` is `tplus COMMAND`."""

    def error(self, message: str) -> NoReturn:
        """Raise what the library would print."""
        raise SettingsError(f"{self.prog.removeprefix('tplus ')}: {message}; see {self.prog} --help")
