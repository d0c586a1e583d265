"""The command line: one thin file a command."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from typing import Annotated, Any, NoReturn, Optional

import typer

from doctor import __version__
from doctor.cli.canary import canary
from doctor.cli.check import check
from doctor.cli.compare import compare
from doctor.cli.gate import gate
from doctor.cli.history import history
from doctor.cli.init import init
from doctor.cli.log import log
from doctor.cli.pin import pin
from doctor.cli.rule import rule
from doctor.cli.scan import scan
from doctor.cli.snapshot import snapshot
from doctor.cli.suggest import suggest
from doctor.errors import DoctorError

INTERNAL, INTERRUPTED, TERMINATED = 4, 130, 143

app = typer.Typer(
    name="kdoctor",
    help="The environment doctor and reproducibility auditor for TensorFlow and Keras.",
    epilog="Exit codes: 0 nothing found, 1 findings, 2 usage, 3 could not look, 4 internal error.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command, short in (  # short: whole in the list of commands of a terminal of 80 columns
    (scan, "Say what is wrong with this machine and this environment."),
    (check, None),
    (snapshot, None),
    (canary, "Train a small seeded model, and compare what comes out."),
    (compare, "Say what differs between two environments, and if results drift."),
    (gate, "Decide on a deployment, by the policy."),
    (init, "Write a commented policy and the CI file."),
    (log, None),
    (pin, "Pin images to digests: a diff, or with --write the files."),
    (rule, None),
    (suggest, "Say which TensorFlow fits, as install commands."),
):
    app.command(short_help=short)(command)
app.add_typer(history)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"kdoctor {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        Optional[bool], typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")  # noqa: UP045
    ] = None,
) -> None:
    """The environment doctor and reproducibility auditor for TensorFlow and Keras."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    gc.set_threshold(50_000, 20, 50)  # facts and findings have no cycles: looking for some took a third of a check
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, prog_name="kdoctor", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except DoctorError as error:
        return _say(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if _is_usage(error):
            return _usage(error)
        if "-v" in arguments or "--verbose" in arguments:
            traceback.print_exc()
        return _say(f"internal error: {type(error).__name__}: {error}; run again with -v and report it", INTERNAL)
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    from doctor.report.sanitize import line

    print("kdoctor: " + line(message, 2000), file=sys.stderr)  # noqa: T201
    return code


def _is_usage(error: Exception) -> bool:
    """Whether typer itself refused the command line."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _usage(error: Any) -> int:
    message = str(error.format_message())
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "kdoctor"
    if message.startswith("Usage: "):  # no command at all: the message is the whole help, with its lines
        print(message, file=sys.stderr)  # noqa: T201
        return 2
    return _say(f"{message} See '{where} --help'.", 2)


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(TERMINATED)
