"""Run a writer with a fault at some of its changes, and again: `python -m tests.torture.cases …`.

Started with the library of faults.c. It forks for each case, and for the workers of each, which
spares them the import of torch.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from figclip.search import index_file
from figclip.video import store
from tests.processes import run_forked
from tests.torture.contents import broken, contents, digest, is_aside
from tests.torture.faults import Fault, armed, changes, struck_call
from tests.torture.writers import WRITERS, World, Writer, warm_up

_DONE_WITHOUT = re.compile(r"fdatasync [^.]*|open(64)? .*\.(sqlite|store|index)")
"""SQLite can do without the sync of a folder, and reads what it could not open for writing."""


@dataclass
class Report:
    """What came of faults: how many of them struck, and what was wrong after which.

    `changes` is how many there are without a fault.
    """

    changes: int
    struck: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass
class Case:
    """A writer in a folder of its own."""

    writer: Writer
    world: World
    work: Path

    @property
    def out(self) -> Path:
        return self.work / "out"

    def run(
        self, *, at: int = 0, fault: Fault | None = None
    ) -> tuple[subprocess.CompletedProcess[str], str]:
        """The command, with a fault at a change; and the changes that it came to."""
        with armed(self.out, at=at, fault=fault):
            return self._figclip(), changes()

    def kept(self) -> dict[str, str]:
        """What says the folder that is whole at every moment."""
        if self.writer.always is None:
            return {}
        found = contents(self.out / self.writer.always)
        return {name: said for name, said in found.items() if not is_aside(Path(name))}

    def run_again(self) -> subprocess.CompletedProcess[str]:
        """The same command, with `--resume` where it asks for it."""
        done = self._figclip()
        return self._figclip("--resume") if "by --resume" in done.stderr else done

    def _figclip(self, *more: str) -> subprocess.CompletedProcess[str]:
        os.environ["FIGCLIP_CACHE"] = str(self.out / "cache")
        return run_forked(*self.writer.command(self.world, self.out), *more, out=self.work)


def torture(case: Case, *, num: int, seed: int) -> Report:
    """Each fault at `num` of the writer's changes, in an order by the seed; 0 for all changes."""
    case.writer.lay_out(case.world, case.out)
    before = case.kept()
    done, kinds = case.run()
    report, rng = Report(len(kinds)), random.Random(seed)
    if done.returncode:
        report.problems.append(f"undisturbed: {done.stderr[-2000:]}")
        return report
    undisturbed = contents(case.out)
    ends: dict[str, list[str]] = {}  # the same command goes on from the same bytes to the same end
    for fault in Fault:
        report.struck[fault.name] = 0
        open_to = [at for at, kind in enumerate(kinds, start=1) if kind in fault.kinds]
        for at in rng.sample(open_to, k=len(open_to)):
            case.writer.lay_out(case.world, case.out)
            done, _ = case.run(at=at, fault=fault)
            if not struck_call():
                continue  # the changes are not always the same
            found = _wrong_after(done, case, fault, before)
            if done.returncode == 0 and contents(case.out) != undisturbed:
                found.append("is not as undisturbed")
            if (left := digest(case.out)) not in ends:
                ends[left] = _wrong_in_the_end(case, undisturbed)
            found += ends[left]
            report.problems += [f"{fault.name} at {at}, {struck_call()}: {one}" for one in found]
            report.struck[fault.name] += 1
            if report.struck[fault.name] == num:
                break
    return report


def _wrong_in_the_end(case: Case, undisturbed: dict[str, str]) -> list[str]:
    """What the same command, run again, leaves other than an undisturbed one."""
    again = case.run_again()
    other = sorted(dict(contents(case.out).items() ^ undisturbed.items()))
    if not other:
        return []  # `export` fails then, as it does not write over what is there
    failure = [f"then exit code {again.returncode}: {again.stderr[-500:]}"] * bool(again.returncode)
    return failure + [f"then {name} is not as undisturbed" for name in other]


def _wrong_after(
    done: subprocess.CompletedProcess[str], case: Case, fault: Fault, before: dict[str, str]
) -> list[str]:
    """What is wrong after a fault: no named error, half of a file."""
    found = [f"half-written {one}" for one in broken(case.out)]
    can_do_without = done.returncode == 0 and _DONE_WITHOUT.fullmatch(struck_call())
    if fault in (Fault.FAILS_ONCE, Fault.FULL_DISK) and not can_do_without:
        if done.returncode != 1:
            found.append(f"exit code {done.returncode}")
        if "figclip: " not in done.stderr or "Traceback" in done.stderr:
            found.append(f"no named error: {done.stderr[-1000:]}")
        else:
            last = done.stderr.strip().splitlines()[-1]
            if str(case.out) not in last:
                found.append(f"does not say where: {last}")
    if case.kept() != before:
        found.append(f"{case.writer.always} is not whole")
    return found


def main() -> None:
    """Arguments: name of the writer, folder of the world, of the work, how many a fault, seed."""
    name, world_folder, work, num, seed = sys.argv[1:]
    warm_up()
    # Every video has a commit of its own, however fast the machine: there is a part to go on from.
    store._COMMIT_EVERY_S = index_file._COMMIT_EVERY_S = 0.0
    case = Case(WRITERS[name], World(Path(world_folder)), Path(work))
    print(json.dumps(vars(torture(case, num=int(num), seed=int(seed)))))


if __name__ == "__main__":
    main()
