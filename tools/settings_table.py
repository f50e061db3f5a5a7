"""Write the README's table of settings anew from the settings themselves.

    .venv/bin/python -m tools.settings_table [--check]

With `--check` nothing is written; the exit status is 1 where the README is behind.
"""

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from service.settings import PREFIX, Settings

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- settings: made by tools/settings_table.py -->", "<!-- end of settings -->"


def table() -> str:
    """The table, one line per setting, in the order of the class."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{PREFIX}{name.upper()}` | {default(field)} | {field.description} |")
    return "\n".join(lines)


def default(field: FieldInfo) -> str:
    """A default as one would write it in the environment."""
    value = field.default
    if isinstance(value, tuple):
        value = ",".join(str(item) for item in value)
    return "unset" if value in (None, "") else f"`{value}`"


def renewed(text: str) -> str:
    """A README with the table put between its marks.

    Raises:
        ValueError: the marks are missing or stand in the wrong order.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if not 0 <= begin < end:
        raise ValueError(f"README.md must hold the lines {BEGIN} and {END}, in this order")
    return f"{text[:begin]}{BEGIN}\n{table()}\n{text[end:]}"


def main(arguments: list[str]) -> int:
    """Write or check; returns the exit status."""
    before = README.read_text()
    after = renewed(before)
    if before == after:
        return 0
    if "--check" in arguments:
        sys.stderr.write("README.md is behind the settings; run .venv/bin/python -m tools.settings_table\n")
        return 1
    README.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
