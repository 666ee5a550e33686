"""`reid compare`: the difference of two finished runs, with its interval."""

import argparse
from pathlib import Path

from reidrun.cli.arguments import add_folder, find_run
from reidrun.cli.messages import say, short
from reidrun.reports.comparison import compare_runs

NOTE = (
    "Intervals are over queries. Another training of the same method differs, too:"
    " `reid sweep` with several --seeds says by how much."
)


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid compare` its arguments."""
    for name in ("first", "second"):
        text = "a run folder, e.g. outputs/plaza/fanet/full-s0"
        command.add_argument(name, metavar="RUN", type=Path, help=text)
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=show_comparison)


def show_comparison(args: argparse.Namespace, root: Path) -> int:
    """Print a table of both runs on every set that both were tested on."""
    first, second = (find_run(run, args.outputs) for run in (args.first, args.second))
    table = compare_runs(first, second)
    say(f"first: {short(first)}\nsecond: {short(second)}\n")
    say(f"{table.to_string(index=False)}\n\n{NOTE}")
    return 0
