"""`environment.json` of a run: what was typed, where it ran, and on what versions."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePath
from typing import Any

from figclip.reporting.json_files import damage_named
from figclip.reporting.report_records import Fact


def typed_command(environment: dict[str, Any] | None, *, file: Path) -> str:
    """What was typed to train, with the program by its name; empty where that is not known.

    Args:
        environment: Content of the file; None where there is none.
        file: Where it lies, for errors.

    Raises:
        DataError: the file is damaged.
    """
    if environment is None:
        return ""
    with damage_named(file):
        program, *arguments = map(str, environment["command"])
    return shlex.join([PurePath(program).name, *arguments])


def environment_facts(environment: dict[str, Any] | None, *, file: Path) -> list[Fact]:
    """Commit, machine and versions, as far as they are known.

    Args:
        environment: Content of the file; None where there is none.
        file: Where it lies, for errors.

    Raises:
        DataError: the file is damaged.
    """
    if environment is None:
        return []
    with damage_named(file):
        packages = [f"{name} {version}" for name, version in environment["packages"].items()]
        return [
            Fact(name="commit", value=str(environment["commit"]) or "an installed package"),
            Fact(name="Python", value=str(environment["python"])),
            Fact(name="platform", value=str(environment["platform"])),
            Fact(name="threads", value=str(environment["threads"])),
            Fact(name="packages", value=", ".join(packages)),
        ]
