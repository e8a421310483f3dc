"""The command line: one file per verb. Heavy imports are inside the verbs, `--help` needs none."""

import os
import signal
from types import FrameType
from typing import NoReturn

from figclip.runtime.launcher import is_main_process


def main() -> None:
    """Entry point of `figclip`."""
    # Not where it is ignored, as for what a script starts in the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave_at_once)
    from figclip.cli.app import run

    run()


def _leave_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Ends the process where it stands; `going_on` replaces it for work that leaves files."""
    # While libraries are imported an exception would not do: some of them swallow it and go on.
    del frame
    if is_main_process():
        os.write(2, b"figclip: interrupted.\n")
    os._exit(128 + number)
