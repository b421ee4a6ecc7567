"""The application: all commands together, and errors as one line with an exit code."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import spatem_opt
from spatem_opt.architecture import ArchitectureWarning
from spatem_opt.cli import architectures, bench, compare, evaluate, export, import_, networks, pareto, plot, solve
from spatem_opt.cli.common import BAD_INPUT, INTERRUPTED, say
from spatem_opt.errors import InstanceError

_UsageError: Any = typer.BadParameter.__bases__[0]
"""Base of all errors in arguments; typer brings its own copy of click in some versions, so it is not imported."""

app = typer.Typer(
    name="spatem", no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)
for group in (solve, compare, bench, evaluate, pareto, plot, export, import_, networks, architectures):
    group.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spatem-opt {spatem_opt.__version__}")
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

    Exit codes: 0 done, 1 nothing found within the limits, 2 bad input, 3 violated constraints, 4 infeasible.
    """


class _Lines(logging.Handler):
    """What the package tells at INFO, as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every foreseeable failure is one line on stderr."""
    command = typer.main.get_command(app)
    args = list(sys.argv[1:] if arguments is None else arguments)
    log = logging.getLogger("spatem_opt")
    if not log.handlers:
        log.addHandler(_Lines())
        log.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ArchitectureWarning)  # `solve` says it in one line
            code = command.main(args, prog_name="spatem", standalone_mode=False)
        sys.stdout.flush()
    except InstanceError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except _UsageError as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # `spatem networks | head`; typer makes it 1 as well
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if code == INTERRUPTED:
        say("interrupted")
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> int:
    """One line for wrong arguments; the help itself when there are none."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message())
        return BAD_INPUT
    path = error.ctx.command_path if error.ctx is not None else "spatem"
    say(f"error: {message}. Try '{path} --help'.")
    return BAD_INPUT
