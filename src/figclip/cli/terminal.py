"""The one place that prints: what comes from files must not steer the terminal."""

import io
import sys
from collections.abc import Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from figclip.errors import printable

_UNFOLDED = 10_000
"""Columns where there is no terminal: what reads it takes lines of any length."""


def say(text: str) -> None:
    """Print a result: lines on stdout, with control codes of names and texts spelt out."""
    typer.echo(printable(text))


def warn(text: str) -> None:
    """Print what goes beside results, on stderr, as `say` does."""
    typer.echo(printable(text), err=True)


def say_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; too long for the terminal, its columns are folded."""
    table = Table(box=box.SIMPLE_HEAD)
    for head in heads:
        table.add_column(Text(printable(head)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    text = io.StringIO()
    Console(file=text, width=None if sys.stdout.isatty() else _UNFOLDED).print(table)
    say("\n".join(line.rstrip() for line in text.getvalue().splitlines()))
