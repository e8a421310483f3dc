"""Templates of pages, and the files beside them."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment(folder: str, functions: dict[str, Callable[..., Any]]) -> Environment:
    """Templates of a folder of the package, which may call some functions.

    They escape every text but the SVG, style and script that are marked as our own.
    """
    environment = Environment(
        loader=PackageLoader("figclip", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(functions)
    return environment


def package_text(name: str) -> str:
    """A text file of the package."""
    return files("figclip").joinpath(name).read_text(encoding="utf-8")
