"""The command line: one file a verb. Heavy imports are inside the verbs, `--help` needs none."""

from __future__ import annotations


def main() -> None:
    """Entry point of `figclip`."""
    from figclip.cli.app import run

    run()
