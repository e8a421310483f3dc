"""HTML of a page's parts; every text is escaped, and what steers the direction of writing shown."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment

from figclip.errors import AnnotationError, FigclipError, Problem, printable
from figclip.reporting.records import percent, plain
from figclip.reporting.templates import package_text, page_environment

_PAGE = "demo/page"
_MAX_PROBLEMS = 20


def render(part: str, **content: Any) -> str:
    """A part of the page, such as `hits`."""
    return _environment().get_template(f"{part}.html.j2").render(content)


def notice(*lines: str, kind: str = "hint") -> str:
    """Some lines: a `hint`, a `problem`, or that something is `done`."""
    return render("notice", lines=lines, kind=kind)


def problem(error: FigclipError) -> str:
    """What is wrong and what to do, without where: that may be a path."""
    if isinstance(error, AnnotationError):
        said = [_said(one) for one in error.problems]
        more = [f"… and {len(said) - _MAX_PROBLEMS} more"] if len(said) > _MAX_PROBLEMS else []
        return notice(*said[:_MAX_PROBLEMS], *more, kind="problem")
    return notice(told(error), kind="problem")


def told(error: FigclipError) -> str:
    """The same in a sentence or two."""
    what = error.what[0].upper() + error.what[1:]
    return f"{what}. {error.fix.rstrip('.')}." if error.fix else f"{what}."


def _said(one: Problem) -> str:
    """A problem of a line: `Event 1, end_s: is 2, not after start_s 5. …`."""
    field = re.sub(r"^events\[(\d+)\]", lambda found: f"Event {int(found[1]) + 1}", one.field)
    where = f"{field.replace('.', ', ', 1)}: " if field else ""
    return f"{where}{one.what}. {one.fix.rstrip('.')}."


def script() -> str:
    """What each part does in the browser."""
    return package_text(f"{_PAGE}/demo.js")


def style() -> str:
    """How the page looks: as the report does."""
    return package_text("reporting/page/colours.css") + package_text(f"{_PAGE}/demo.css")


def swap_label(changed: str) -> str:
    """What a button says that makes a counterpart: `enters → leaves`."""
    return "Swap who acts" if changed == "roles" else changed.replace(": ", " → ")


@cache
def _environment() -> Environment:
    """Templates."""
    functions = {"percent": percent, "plain": plain, "swap_label": swap_label, "text": printable}
    return page_environment(_PAGE, functions)
