"""What all commands share: exit codes, output, options."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from spatem_opt.errors import InstanceError
from spatem_opt.files.names import visible

if TYPE_CHECKING:
    from spatem_opt.report.grid import TextTable

DONE, NOTHING_FOUND, BAD_INPUT, VIOLATIONS, INFEASIBLE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 130, 143

SOLUTION = (".json", ".json.gz")
"""How names of solution files end."""
FILES = (".json", ".jsonl", ".gz", ".csv", ".svg", ".png", ".pdf", ".html", ".htm", ".toml", ".onnx", ".mps", ".lp")
"""A folder to be made is not named like a file: who writes ``-o figure.svg`` means a file."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables; keys are stable (README).")]
Arch = Annotated[
    str, typer.Option("--arch", "-a", help="Chip: a name from 'spatem architectures', or a .toml file.", metavar="ARCH")
]
Shape = Annotated[
    str | None,
    typer.Option("--input-shape", help="Fixes dynamic inputs of an ONNX graph: [NAME=]1x3x320x320.", metavar="SHAPE"),
]
Outputs = Annotated[
    str | None,
    typer.Option(
        "--outputs",
        help="Stops an ONNX graph at these tensors: what follows them, such as post-processing, is left out.",
        metavar="NAME,...",
    ),
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
    """Print a line for people on stderr; whatever is in it, it is one line."""
    with contextlib.suppress(BrokenPipeError):  # nobody listens: the exit code says the rest
        sys.stderr.write(f"{visible(line)}\n")


def write(text: str) -> None:
    """Write on stdout; if whoever reads it has had enough (``spatem networks | head -1``), go on in silence."""
    try:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        mute()


def mute() -> None:
    """Send what is still written on stdout nowhere, its buffer at the end of the program included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def show(*parts: TextTable | str) -> None:
    """Print tables and texts on stdout; as wide as they need when it is no terminal, else fitted to its width."""
    from rich.console import Console
    from rich.text import Text

    from spatem_opt.report.grid import layout, left_out, to_rich

    console = Console(highlight=False)
    width = console.width if console.is_terminal else None
    with console.capture() as captured:
        for part in parts:
            if isinstance(part, str):
                console.print(Text(visible(part)), soft_wrap=width is None)
                continue
            chosen = layout(part, width)
            if part.title:
                console.print(Text(visible(part.title), style="table.title"), soft_wrap=width is None)
            if part.lines:
                console.print(to_rich(part, chosen), crop=False)
            missing = left_out(part, chosen) if part.lines else ""
            for note in filter(None, (missing, *part.notes)):
                console.print(Text(visible(note)), soft_wrap=width is None)
    text = captured.get()
    write(text if width is not None else "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def show_json(data: dict[str, Any]) -> None:
    """Print JSON on stdout."""
    text = orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode()
    write(f"{text}\n")


@contextlib.contextmanager
def cautions() -> Iterator[list[str]]:
    """What is legal but doubtful of the chips that are loaded within; only where somebody asks for results of one."""
    from spatem_opt.model.architecture import ArchitectureWarning

    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ArchitectureWarning)
        yield texts
    texts += [str(one.message) for one in caught if issubclass(one.category, ArchitectureWarning)]


def check_output(path: str | Path, endings: Iterable[str], what: str) -> None:
    """Refuse a file for output before any work is done for it.

    Parameters
    ----------
    path : str or Path
    endings : iterable of str
        How its name may end: what is written is what the name says.
    what : str
        What is written there, for the message.

    Raises
    ------
    InstanceError
        If the name ends otherwise, or no file can be written there.
    """
    from spatem_opt.files.access import check_writable

    known = tuple(endings)
    if not Path(path).is_dir() and not str(path).endswith(known):
        raise InstanceError(str(path), "", "cannot be written", f"the name of {what} ends in {' or '.join(known)}")
    check_writable(path)


def make_folder(name: str) -> Path:
    """Make a folder if it is missing; raises :class:`InstanceError` if it cannot be made or is named like a file."""
    folder = Path(name)
    if not folder.is_dir() and folder.suffix in FILES:
        raise InstanceError(name, "", "cannot be made", f"expected a folder, and {folder.suffix} is the end of a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstanceError(name, "", "cannot be made", error.strerror or "expected a folder") from error
    return folder
