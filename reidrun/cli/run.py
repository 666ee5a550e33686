"""`reid run`: the notebooks of papers, executed in run folders."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from reidlib.benchmarks import TITLES
from reidrun.cli.arguments import Whole, add_values, list_names
from reidrun.cli.messages import complain, complain_of, point_at, say, short
from reidrun.reports import records
from reidrun.runs import execute, params, stopping, sweep, torchrun
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import is_complete, make_folder, throw_away
from reidrun.runs.locks import refuse_running
from reidrun.runs.missing import refuse_missing_files
from reidrun.runs.plans import (
    Plan,
    make_plan,
    papers,
    refuse_other_parameters,
)
from reidrun.runs.records import read_record


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid run` its arguments."""
    scales = params.owners(root / "params" / "scales")
    list_names(command, papers=papers(root), benchmarks=TITLES, scales=scales)
    add = command.add_argument
    add("papers", nargs="+", metavar="PAPER", help="e.g. fanet")
    add("--on", required=True, metavar="BENCHMARK", help="e.g. plaza")
    text = "a row of an ablation of the paper, e.g. baseline (default: %(default)s)"
    add("--variant", default=params.FULL, help=text)
    add("--seed", action=Whole, default=0, help="of everything random")
    add_values(command, root)
    add("--fresh", action="store_true", help="throw an earlier run away")
    add("--html", action="store_true", help="write the run as a page too")
    add("--log", action="store_true", help="show what the cells print")
    words = "keep the state of the training, which a finished run no longer needs"
    add("--keep-checkpoint", action="store_true", help=words)
    words = "so many papers side by side, with a share of the cores each"
    add("--jobs", action=Whole, default=1, metavar="N", help=words)
    words = "train in so many processes of this machine, with a GPU each"
    add("--processes", action=Whole, default=1, metavar="N", help=words)
    command.set_defaults(command=run_papers)


def run_papers(args: argparse.Namespace, root: Path) -> int:
    """Run each paper; the others go on when one fails, and the exit code says so.

    Ends with a table and the files to open.
    """
    _check_jobs(args)
    plans = [
        make_plan(
            root,
            paper,
            benchmark=args.on,
            seed=args.seed,
            outputs=args.outputs,
            data_root=args.data,
            variant=args.variant,
            scale=args.scale,
            overrides=dict(args.parameter),
            processes=args.processes,
        )
        for paper in args.papers
    ]
    for plan in plans:
        torchrun.check_processes(args.processes, plan.parameters)
    refuse_missing_files(plans if args.fresh else sweep.missing(plans))
    for plan in plans:
        refuse_running(plan.folder)
        if not args.fresh:
            refuse_other_parameters(plan)
    for plan in plans:
        if args.fresh:
            throw_away(plan.folder)
        make_folder(plan.folder)
    failed = _side_by_side(plans, args.jobs) if args.jobs > 1 else set()
    done = [p for p in plans if p.folder not in failed and _carry_out(p, args)]
    if done:
        table = records.score_table(pd.DataFrame(_rows(done, args)))
        say(f"\n{table.to_string(index=False)}\n")
    for plan in done:
        files = [execute.NOTEBOOK] + ([execute.PAGE] if args.html else [])
        say(f"{plan.title}: {', '.join(short(plan.folder / f) for f in files)}")
    return 0 if len(done) == len(plans) else 1


def _check_jobs(args: argparse.Namespace) -> None:
    """Raise ParameterError for what is said or kept of one run at a time only."""
    sweep.check_jobs(args.jobs)
    alone = {"--log": args.log, "--keep-checkpoint": args.keep_checkpoint}
    alone["--processes"] = args.processes > 1
    for name in [name for name, given in alone.items() if given and args.jobs > 1]:
        raise ParameterError(f"jobs: {args.jobs}, but {name} is for one run at a time")


def _side_by_side(plans: Sequence[Plan], jobs: int) -> set[Path]:
    """Run what is missing, `jobs` at a time; return the folders of what failed."""
    failures = sweep.run(plans, jobs, say)
    complain_of(failures, execute.NOTEBOOK, execute.ERROR_LOG)
    return {plan.folder for plan, _ in failures}


def _carry_out(plan: Plan, args: argparse.Namespace) -> bool:
    stopping.check()
    if is_complete(plan.folder):
        if args.jobs == 1:
            say(f"{plan.title}: already there")
        kept = args.keep_checkpoint
        execute.tidy_finished(plan.notebook, plan.folder, keep_checkpoint=kept)
    else:
        begun = (plan.folder / "checkpoint.pt").is_file()
        say(f"{plan.title}: {'going on' if begun else 'running'}")
        make_page = None
        if args.processes > 1:
            say(f"  {torchrun.global_batch(plan.parameters, args.processes)}")
            make_page = partial(torchrun.execute_together, count=args.processes)
        try:
            execute.execute(
                plan.notebook,
                plan.folder,
                plan.parameters,
                log=args.log,
                report=lambda line: print(f"  {line}", flush=True),
                keep_checkpoint=args.keep_checkpoint,
                make_page=make_page,
            )
        except RunError as error:
            complain(f"{plan.title} failed (paths are seen from notebooks/)\n{error}")
            point_at(plan.folder, execute.NOTEBOOK, execute.ERROR_LOG)
            return False
    try:
        record = read_record(plan.folder)
    except RunError as error:
        complain(f"{plan.title} is damaged: {error}")
        return False
    for what, error in record.get("failed", {}).items():
        complain(f"{plan.title} is kept, but after training {what} failed: {error}")
    if args.html:
        execute.write_page(plan.folder)
    return True


def _rows(done: Sequence[Plan], args: argparse.Namespace) -> list[dict]:
    """Every score of a paper; of several a row each, which can be compared."""
    every = [records.rows_of(read_record(plan.folder)) for plan in done]
    rows = [row for rows in every for row in rows]
    several = len(args.papers) > 1
    own = {plan.parameters["benchmark"] for plan in done}
    return [
        row
        for row in rows
        if not several or (row["tested_on"] in own and row["search"] == "")
    ]
