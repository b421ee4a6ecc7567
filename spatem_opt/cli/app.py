"""The application: all commands together, and errors as one line with an exit code."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from spatem_opt.cli import (
    architectures,
    bench,
    compare,
    evaluate,
    export,
    import_,
    networks,
    pareto,
    plot,
    report,
    solve,
)
from spatem_opt.cli.common import BAD_INPUT, DONE, INTERRUPTED, TERMINATED, mute, say
from spatem_opt.errors import InstanceError
from spatem_opt.model.architecture import ArchitectureWarning
from spatem_opt.search.stop import Terminated, terminate
from spatem_opt.version import __version__

_UsageError: Any = typer.BadParameter.__bases__[0]
"""Base of all errors in arguments; typer brings its own copy of click in some versions, so it is not imported."""

app = typer.Typer(
    name="spatem", no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
for group in (solve, compare, bench, evaluate, pareto, plot, report, export, import_, networks, architectures):
    group.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spatem-opt {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Map and schedule CNNs on ReRAM accelerators, operation unit by operation unit.

    \b
    spatem solve resnet50 -o out.json     a shipped network, the default chip
    spatem solve model.onnx --arch isaac  read ONNX, use another chip
    spatem evaluate out.json              check and measure, independently
    spatem compare resnet50               all methods side by side
    spatem networks                       shipped networks
    spatem architectures --show isaac     all numbers of a chip, with sources

    Exit codes: 0 done, 1 nothing found within the limits, 2 bad input, 3 violated constraints, 4 infeasible,
    130 and 143 ended by Ctrl-C and by SIGTERM before there was a solution; with one it is kept, and the code is 0.
    """


def run(arguments: Sequence[str] | None = None, begun: float | None = None) -> int:
    """Run a command; every foreseeable failure is one line on stderr.

    `begun` is when the program began (of :func:`time.monotonic`), now by default: from then on time limits count.
    """
    begun = time.monotonic() if begun is None else begun
    command = typer.main.get_command(app)
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings(), _terminated():
            warnings.simplefilter("ignore", ArchitectureWarning)  # `solve` says it in one line
            code = command.main(args, prog_name="spatem", standalone_mode=False, obj=begun)
        sys.stdout.flush()
    except InstanceError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except _UsageError as error:
        return _usage(error)
    except Terminated:
        say("terminated")
        return TERMINATED
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        mute()
        return DONE
    except SystemExit as end:
        if end.code != 1:
            raise
        mute()  # `spatem --help | head`: rich and typer make it 1
        return DONE
    if code == INTERRUPTED:
        say("interrupted")
    return code if isinstance(code, int) else 0


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does; only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _usage(error: Any) -> int:
    """One line for wrong arguments; the help itself when there are none."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    if type(error).__name__ == "NoArgsIsHelpError":
        for line in error.format_message().splitlines():
            say(line)
        return BAD_INPUT
    path = error.ctx.command_path if error.ctx is not None else "spatem"
    say(f"error: {message}. Try '{path} --help'.")
    return BAD_INPUT
