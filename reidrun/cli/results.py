"""`reid results`: the table of all finished runs, and the pages that show them."""

import argparse
from pathlib import Path

from reidrun.cli.arguments import add_folder
from reidrun.cli.messages import say, short
from reidrun.reports import records
from reidrun.runs.errors import RunError


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid results` its arguments."""
    text = "renew the README's table and outputs/index.html from the runs in git"
    command.add_argument("--write", action="store_true", help=text)
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=show_results)


def show_results(args: argparse.Namespace, root: Path) -> int:
    """Print every finished run under --outputs; write what shows them if asked to."""
    rows = records.collect(args.outputs)
    if rows.empty:
        raise RunError(f"no finished run in {short(args.outputs)}: try reid run")
    say(records.score_table(rows).to_string(index=False))
    if args.write:
        _write(args.outputs, root)
    return 0


def _write(outputs: Path, root: Path) -> None:
    from reidrun.reports.pages import untracked_runs, write_pages  # slow

    written = write_pages(root, outputs)
    say(f"\nwritten: {', '.join(map(short, written))}")
    if left := untracked_runs(outputs):
        say(f"{len(left)} runs are left out until git tracks them: {', '.join(left)}")
