"""`reid results`: what finished runs scored, and the README's table of them."""

import argparse
from pathlib import Path

import pandas as pd

from reidrun.cli.arguments import add_folder
from reidrun.cli.messages import complain, say, short
from reidrun.reports import records
from reidrun.runs.errors import RunError
from reidrun.runs.params import FULL

FILTERS = {"paper": "paper", "on": "benchmark", "variant": "variant"}


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid results` its arguments."""
    add = command.add_argument
    add("--paper", metavar="PAPER", help="only its runs, all variants, e.g. fanet")
    add("--on", metavar="BENCHMARK", help="only runs trained on it, e.g. plaza")
    add("--variant", metavar="VARIANT", help="only its runs, e.g. baseline")
    text = "print every run and test as CSV: seeds, other searches, all scores"
    add("--csv", action="store_true", help=text)
    text = "renew the README's table from the runs in git"
    add("--write", action="store_true", help=text)
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=show_results)


def show_results(args: argparse.Namespace, root: Path) -> int:
    """Print what is asked for of the runs under --outputs, or write the table.

    Without a filter whole methods only: what was changed has hundreds of rows.
    """
    damaged: list[str] = []
    rows = records.collect(args.outputs, report=None if args.write else damaged.append)
    for fault in damaged:
        complain(f"left out: {fault}")
    if rows.empty:
        raise RunError(f"no finished run in {short(args.outputs)}: try reid run")
    asked = {column: getattr(args, name) for name, column in FILTERS.items()}
    asked = {column: value for column, value in asked.items() if value}
    chosen = _chosen(rows, asked)
    if args.csv:
        say(chosen.to_csv(index=False).rstrip())
    elif not args.write:
        _print_summary(chosen, is_all=not asked)
    if args.write:
        _write(args.outputs, root)
    return 2 if damaged else 0


def _chosen(rows: pd.DataFrame, asked: dict[str, str]) -> pd.DataFrame:
    for column, value in asked.items():
        known = sorted(rows[column].unique())
        rows = rows[rows[column] == value]
        if rows.empty:
            raise RunError(f"no finished run of {column} {value}: {', '.join(known)}")
    return rows


def _print_summary(rows: pd.DataFrame, *, is_all: bool) -> None:
    whole = rows[rows["variant"] == FULL]
    shown = whole if is_all and len(whole) else rows
    own = shown[shown["search"] == ""]
    say(records.summary_table(own).to_string(index=False))
    others = rows["folder"].nunique() - own["folder"].nunique()
    if others:
        say(f"\n{others} runs of other variants: --paper PAPER, or --csv for all")


def _write(outputs: Path, root: Path) -> None:
    from reidrun.reports.pages import untracked_runs, write_readme  # slow

    say(f"written: {short(write_readme(root, outputs))}")
    if left := untracked_runs(outputs):
        say(f"{len(left)} runs are left out until git tracks them: {', '.join(left)}")
