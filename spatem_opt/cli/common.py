"""What all commands share: exit codes, output, options."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console, RenderableType

DONE, NOTHING_FOUND, BAD_INPUT, VIOLATIONS, INFEASIBLE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 130, 143

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables; keys are stable (README).")]
Arch = Annotated[
    str, typer.Option("--arch", "-a", help="Chip: a name from 'spatem architectures', or a .toml file.", metavar="ARCH")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Change one number of the chip, and what follows from it; may be repeated.",
    ),
]


def say(line: str) -> None:
    """Print a line for people on stderr."""
    sys.stderr.write(f"{line}\n")


def show(*parts: RenderableType) -> None:
    """Print tables on stdout; when it is no terminal, as wide as they need."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    for part in parts:
        console.print(part)


def show_json(data: dict[str, Any]) -> None:
    """Print JSON on stdout."""
    text = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
    sys.stdout.write(f"{text}\n")
