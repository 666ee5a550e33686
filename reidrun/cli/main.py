"""The command `reid`: run papers and ablations, look at data folders, show results.

    reid run fanet --on plaza --seed 1 -p epochs 5
    reid sweep params/ablations/fanet_components.yaml --on plaza --seeds 0 1 2
    reid data check market1501 FOLDER        reid data tree market1501
    reid results [--write]                   reid gallery

Exit codes: 0 done, 1 a run failed or data is faulty, 2 the command asks for something
that is not there. Nothing is trained before everything asked for has been checked.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from reidrun.cli import data
from reidrun.cli.arguments import (
    Parser,
    add_folder,
    describe_run,
    describe_sweep,
    names_for_run,
    names_for_sweep,
)
from reidrun.reports import records
from reidrun.runs import execute, sweep, workflow
from reidrun.runs import folder as runs
from reidrun.runs.environment import ROOT
from reidrun.runs.plans import (
    Plan,
    make_plan,
    refuse_missing_files,
    refuse_other_parameters,
)
from reidrun.runs.schema import ParameterError

INTERRUPTED = 130
PORT = 8899  # not that of JupyterLab


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run one command; return its exit code. `root` holds notebooks/ and params/."""
    args = _parser(root).parse_args(arguments)
    try:
        return args.command(args, root)
    except (ParameterError, runs.RunError) as error:
        return _complain(error, 2)
    except data.FaultyDataError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on", INTERRUPTED)


def _complain(message: object, code: int = 1) -> int:
    for line in str(message).splitlines():
        print(f"reid: {line}", file=sys.stderr)
    return code


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = Parser(
        prog="reid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text, names = "run the notebooks of papers", names_for_run(root)
    run = commands.add_parser("run", help=text, **names)
    run.set_defaults(command=run_papers)
    describe_run(run, root)
    text, names = "run an ablation: variants by seeds", names_for_sweep(root)
    sweep = commands.add_parser("sweep", help=text, **names)
    sweep.set_defaults(command=run_sweep)
    describe_sweep(sweep, root)
    results = commands.add_parser("results", help="the table of all finished runs")
    results.set_defaults(command=show_results)
    text = "renew the README's table and outputs/index.html from the runs in git"
    results.add_argument("--write", action="store_true", help=text)
    gallery = commands.add_parser("gallery", help="executed notebooks in a browser")
    gallery.set_defaults(command=show_gallery)
    text = "of this machine where they are shown (default: %(default)s)"
    gallery.add_argument("--port", type=int, default=PORT, help=text)
    for command in (run, sweep, results, gallery):
        add_folder(command, "--outputs", root / "outputs", "of the runs")
    data.describe(commands.add_parser("data", help="look at the folder of a benchmark"))
    return parser


def run_papers(args: argparse.Namespace, root: Path) -> int:
    """Run each paper; the others go on when one fails, and the exit code says so.

    Ends with a table and the files to open.
    """
    plan_of = partial(
        make_plan,
        root,
        benchmark=args.on,
        seed=args.seed,
        outputs=args.outputs,
        data_root=args.data,
        variant=args.variant,
        scale=args.scale,
        overrides=dict(args.parameter),
    )
    plans = [plan_of(paper) for paper in args.papers]
    refuse_missing_files(plans if args.fresh else sweep.missing(plans))
    for plan in plans:
        if not args.fresh:
            refuse_other_parameters(plan)
    for plan in plans:
        if args.fresh and (plan.folder / "params.yaml").is_file():
            shutil.rmtree(plan.folder)
    done = [plan for plan in plans if _carry_out(plan, args)]
    if done:
        print(f"\n{_table(pd.DataFrame(_rows(done, args)))}\n")
    for plan in done:
        files = [execute.NOTEBOOK] + ([execute.PAGE] if args.html else [])
        print(f"{plan.title}: {', '.join(_short(plan.folder / f) for f in files)}")
    return 0 if len(done) == len(plans) else 1


def _rows(done: Sequence[Plan], args: argparse.Namespace) -> list[dict]:
    """Every score of a paper; of several a row each, which can be compared."""
    every = [records.rows_of(runs.read_metrics(plan.folder)) for plan in done]
    rows = [row for rows in every for row in rows]
    several = len(args.papers) > 1
    return [row for row in rows if row["tested_on"] == args.on or not several]


def _carry_out(plan: Plan, args: argparse.Namespace) -> bool:
    if runs.is_complete(plan.folder):
        print(f"{plan.title}: already there")
    else:
        begun = (plan.folder / "checkpoint.pt").is_file()
        print(f"{plan.title}: {'going on' if begun else 'running'}", flush=True)
        try:
            execute.execute(plan.notebook, plan.folder, plan.parameters, log=args.log)
        except runs.RunError as error:
            _complain(f"{plan.title} failed (paths are seen from notebooks/)\n{error}")
            _point_at_files(plan)
            return False
    if args.html:
        execute.write_page(plan.folder)
    return True


def _point_at_files(plan: Plan) -> None:
    for name in (execute.NOTEBOOK, execute.ERROR_LOG):
        if (plan.folder / name).is_file():
            _complain(f"see {_short(plan.folder / name)}")


def run_sweep(args: argparse.Namespace, root: Path) -> int:
    """Run what is missing of an ablation, then the notebook that shows it."""
    asked = {
        "root": root,
        "ablation": _ablation_name(args.ablation, root),
        "benchmarks": args.on,
        "seeds": args.seeds,
        "variants": args.variants,
        "outputs": args.outputs,
        "data_root": args.data,
    }
    overrides = dict(args.parameter)
    profile = workflow.choose_profile(args.profile, root)
    plans = sweep.plan(**asked, scale=args.scale, overrides=overrides)
    page = sweep.plan_page(**asked)
    failures = _run_all(plans, args, profile, root)
    for plan, message in failures:
        _complain(f"{plan.title} failed: {message}")
        _point_at_files(plan)
    if page and (overrides or args.scale):
        print(f"{page.notebook.name} shows no runs with -p or --scale: not executed")
        page = None
    written = page is None or _write_page(page)
    return 0 if written and not failures else 1


def _run_all(
    plans: Sequence[Plan], args: argparse.Namespace, profile: str, root: Path
) -> list[sweep.Failure]:
    report = partial(print, flush=True)
    if profile == workflow.NO_PROFILE:
        return sweep.run(plans, 1 if args.jobs is None else args.jobs, report)
    config = {
        "runs": [_ablation_name(args.ablation, root)],
        "benchmarks": args.on,
        "variants": args.variants,
        "seeds": args.seeds,
        "scale": args.scale or "",
        "parameters": dict(args.parameter),
        "outputs": str(args.outputs.resolve()),
        "data": str(args.data.resolve()),
    }
    queue = {"profile": profile, "jobs": args.jobs, "root": root}
    return workflow.run(plans, config, **queue, report=report)


def _ablation_name(text: str, root: Path) -> str:
    given = Path(text)
    wanted = root / "params" / "ablations" / f"{given.stem}.yaml"
    if given.is_file() and given.resolve() != wanted.resolve():
        raise ParameterError(f"{text}: an ablation lives in params/ablations/")
    return given.stem


def _write_page(page: sweep.Page) -> bool:
    try:
        execute.execute_page(*page)
    except runs.RunError as error:
        _complain(f"{page.notebook.name} failed: {error}")
        _complain(f"see {_short(page.output)}")
        return False
    print(f"{page.notebook.stem}: {_short(page.output)}")
    return True


def _short(path: Path) -> str:
    path, here = path.resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _table(rows: pd.DataFrame) -> str:
    return records.score_table(rows).to_string(index=False)


def show_results(args: argparse.Namespace, root: Path) -> int:
    """Print every finished run under --outputs; write what shows them if asked to."""
    rows = records.collect(args.outputs)
    if rows.empty:
        raise runs.RunError(f"no finished run in {_short(args.outputs)}: try reid run")
    print(_table(rows))
    if args.write:
        _write_results(args.outputs, root)
    return 0


def show_gallery(args: argparse.Namespace, root: Path) -> int:
    """Show the executed notebooks under --outputs until Ctrl-C."""
    from reidrun.cli import server

    server.show(args.outputs, args.port)
    return 0


def _write_results(outputs: Path, root: Path) -> None:
    from reidrun.reports.pages import left_out, rebuild  # late: it brings scipy

    written = rebuild(root, outputs)
    print(f"\nwritten: {', '.join(map(_short, written))}")
    if left := left_out(outputs):
        print(f"{len(left)} runs are left out until git tracks them: {', '.join(left)}")


if __name__ == "__main__":
    sys.exit(main())
