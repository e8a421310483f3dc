"""`environment.json` of a run: what was typed, where it ran, and on what versions."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePath
from typing import Any

from figclip.reporting.json_files import damage_named
from figclip.reporting.report_records import Fact
from figclip.run_files import sessions_of


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
        program, *arguments = map(str, sessions_of(environment)[0]["command"])
    return shlex.join([PurePath(program).name, *arguments])


def environment_facts(environment: dict[str, Any] | None, *, file: Path) -> list[Fact]:
    """Commit, machine and versions of the last session, as far as they are known; all sessions.

    Args:
        environment: Content of the file; None where there is none.
        file: Where it lies, for errors.

    Raises:
        DataError: the file is damaged.
    """
    if environment is None:
        return []
    with damage_named(file):
        sessions = sessions_of(environment)
        last = sessions[-1]
        packages = [f"{name} {version}" for name, version in last["packages"].items()]
        facts = [
            Fact(name="commit", value=str(last["commit"]) or "an installed package"),
            Fact(name="Python", value=str(last["python"])),
            Fact(name="platform", value=str(last["platform"])),
            # Runs of earlier versions do not say where they ran.
            *(
                Fact(name=one, value=str(last[one]))
                for one in ("device", "processes")
                if one in last
            ),
            Fact(name="threads", value=str(last["threads"])),
            Fact(name="packages", value=", ".join(packages)),
        ]
        if resumed := [str(one["step"]) for one in sessions[1:]]:
            facts.append(Fact(name="resumed after step", value=", ".join(resumed)))
        return facts
