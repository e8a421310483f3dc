"""Puts the verbs together, and turns errors and signals into messages and exit codes.

Exit codes are in `options.EXIT_CODES`.
"""

import io
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from figclip import __version__
from figclip.cli.adapt import adapt
from figclip.cli.demo import demo
from figclip.cli.describe import describe
from figclip.cli.evaluate import evaluate
from figclip.cli.export import export
from figclip.cli.finetune import finetune
from figclip.cli.index import index
from figclip.cli.options import EXIT_CODES
from figclip.cli.prepare import prepare
from figclip.cli.preview import caption, preview
from figclip.cli.quickstart import quickstart
from figclip.cli.recipes import recipes
from figclip.cli.report import report
from figclip.cli.score import score
from figclip.cli.search import search
from figclip.cli.terminal import say, warn
from figclip.errors import ConfigError, FigclipError
from figclip.runtime.cpu_settings import tune_for_cpu
from figclip.runtime.launcher import is_first_to_stop, is_lost_connection, require_one_process

FAILED, WRONG_USE = 1, 2


class _Verbs(TyperGroup):
    """Hands out the documented context; by itself typer 0.29 makes one of its base class."""

    context_class = typer.Context


app = typer.Typer(
    name="figclip",
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Teach any CLIP who does what to whom, from densely annotated video.",
    epilog=EXIT_CODES,
)
for name, verb in {
    "quickstart": quickstart,
    "preview": preview,
    "caption": caption,
    "prepare": prepare,
    "adapt": adapt,
    "eval": evaluate,
    "finetune": finetune,
    "describe": describe,
    "score": score,
    "report": report,
    "index": index,
    "search": search,
    "export": export,
    "demo": demo,
    "recipes": recipes,
}.items():
    if isinstance(verb, typer.Typer):
        app.add_typer(verb, epilog=EXIT_CODES)
    else:
        app.command(name=name, hidden=verb is caption, epilog=EXIT_CODES)(verb)


def _show_version(is_asked: bool) -> bool:
    """Print the version, and end."""
    if is_asked:
        say(f"figclip {__version__}")
        raise typer.Exit
    return is_asked


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that come before the verb."""
    # --debug is read from sys.argv by `run`, which also handles errors of parsing.
    del debug, version
    if context.invoked_subcommand is not None and context.invoked_subcommand != "adapt":
        require_one_process(context.invoked_subcommand)


def run() -> NoReturn:
    """Run the verb on the command line and exit."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _raise_on_sigterm)
    tune_for_cpu()
    for stream in (sys.stdout, sys.stderr):
        # Names from data may hold signs that the terminal has not.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except FigclipError as error:
        _explain(str(error))
        sys.exit(WRONG_USE if isinstance(error, ConfigError) else FAILED)
    except OSError as error:
        # A full disk, a missing permission, a file where a folder should be.
        _explain(f"{error.filename or 'system'}: {error.strerror}")
        sys.exit(FAILED)
    except MemoryError:
        _explain("needs more memory than there is. Give it smaller files, or a larger machine")
        sys.exit(FAILED)
    except Exception as error:
        if not is_lost_connection(error):
            raise
        _explain("lost the connection to another process, which was killed. Out of memory?")
        sys.exit(FAILED)
    sys.exit(0)


def _explain(message: str) -> None:
    """Why the run ends, once for all processes; --debug shows where, for each."""
    if "--debug" in sys.argv:
        warn(traceback.format_exc())
    if is_first_to_stop():
        warn(f"figclip: {message}")


def _raise_on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind the stack, so that files are closed and workers stopped."""
    del frame
    if is_first_to_stop():
        warn("figclip: terminated; run the same command again to go on.")
    sys.exit(128 + number)
