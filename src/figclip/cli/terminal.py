"""The one place that prints: what comes from files must not steer the terminal."""

import typer

from figclip.errors import printable


def say(text: str) -> None:
    """Print a result: lines on stdout, with control codes of names and texts spelt out."""
    typer.echo(printable(text))


def warn(text: str) -> None:
    """Print what goes beside results, on stderr, as `say` does."""
    typer.echo(printable(text), err=True)
