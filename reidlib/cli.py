"""The command `reid`: run papers, look at data folders, show results.

    reid run fanet --on plaza --seed 1 -p epochs 5
    reid data check DIR        reid data tree BENCHMARK
    reid results

Exit codes: 0 done, 1 a run failed or data is faulty, 2 the command asks for something
that is not there. Nothing is trained before everything asked for has been checked.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from reidlib import execute, params, runs
from reidlib.schema import ParameterError, notebook_schema, read_value, unknown

OPTIONS = {"benchmark": "--on", "data_root": "--data"}
OPTIONS |= {"run_dir": "--outputs", "seed": "--seed"}
INTERRUPTED = 130


class Plan(NamedTuple):
    """A run that was checked and may start."""

    title: str
    notebook: Path
    folder: Path
    parameters: dict[str, Any]


def main(arguments: Sequence[str] | None = None, root: Path = runs.ROOT) -> int:
    """Run one command; return its exit code. `root` holds notebooks/ and params/."""
    args = _parser(root).parse_args(arguments)
    try:
        return args.command(args, root)
    except (ParameterError, runs.RunError) as error:
        return _complain(error, 2)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on", INTERRUPTED)


def _complain(message: object, code: int = 1) -> int:
    for line in str(message).splitlines():
        print(f"reid: {line}", file=sys.stderr)
    return code


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the notebooks of papers")
    _describe_run(run, root)
    results = commands.add_parser("results", help="the table of all finished runs")
    results.set_defaults(command=show_results)
    for command in (run, results):
        _add_folder(command, "--outputs", root / "outputs", "of the runs")
    data = commands.add_parser("data", help="look at the folder of a benchmark")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="count and open every image of a folder")
    check.add_argument("folder", type=Path)
    check.set_defaults(command=check_data)
    tree = actions.add_parser("tree", help="print the layout that is expected")
    tree.add_argument("benchmark")
    tree.set_defaults(command=show_tree)
    return parser


def _describe_run(run: argparse.ArgumentParser, root: Path) -> None:
    run.set_defaults(command=run_papers)
    run.add_argument("papers", nargs="+", metavar="PAPER", help="e.g. fanet")
    run.add_argument("--on", required=True, metavar="BENCHMARK", help="e.g. plaza")
    run.add_argument("--variant", default=params.FULL, help="a row of an ablation")
    run.add_argument("--seed", type=int, default=0, help="of everything random")
    run.add_argument("--scale", help="tiny (drawn benchmarks) or full (real ones)")
    run.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="override one parameter; it becomes part of the run's name",
    )
    _add_folder(run, "--data", root / "data", "that holds the benchmarks' folders")
    run.add_argument("--fresh", action="store_true", help="throw an earlier run away")
    run.add_argument("--html", action="store_true", help="write the run as a page too")
    run.add_argument("--log", action="store_true", help="show what the cells print")


def _add_folder(
    parser: argparse.ArgumentParser, option: str, default: Path, what: str
) -> None:
    words = f"folder {what}; {default.name}/ beside notebooks/ if not given"
    parser.add_argument(option, type=Path, default=default, metavar="DIR", help=words)


def run_papers(args: argparse.Namespace, root: Path) -> int:
    """Run each paper; the others go on when one fails, and the exit code says so."""
    plans = [make_plan(args, paper, root) for paper in args.papers]
    for plan in plans:
        _make_room(plan, fresh=args.fresh)
    done = [plan for plan in plans if _carry_out(plan, args)]
    if done:
        rows = [row for p in done for row in runs.rows_of(runs.read_metrics(p.folder))]
        print(f"\n{_table(pd.DataFrame(rows))}\n")
    for plan in done:
        files = [execute.NOTEBOOK] + ([execute.PAGE] if args.html else [])
        print(f"{plan.title}: {', '.join(_short(plan.folder / f) for f in files)}")
    return 0 if len(done) == len(plans) else 1


def make_plan(args: argparse.Namespace, paper: str, root: Path) -> Plan:
    """Check what is asked for and merge the parameters; nothing is written."""
    from reidlib.readers import is_drawn

    usual = "tiny" if is_drawn(args.on) else "full"
    scale = args.scale or usual
    _refuse_unknown(root, paper=paper, benchmark=args.on, scale=scale)
    notebook = root / "notebooks" / f"{paper}.ipynb"
    schema = notebook_schema(notebook)
    overrides = _read_overrides(args.parameter, schema)
    named = overrides if scale == usual else {"scale": scale, **overrides}
    variant = runs.variant_name(args.variant, named)
    outputs, data = args.outputs.resolve(), args.data.resolve()
    folder = runs.run_folder(
        outputs, benchmark=args.on, paper=paper, variant=variant, seed=args.seed
    )
    given = {
        "benchmark": args.on,
        "seed": args.seed,
        "data_root": os.path.relpath(data, notebook.parent),
        "run_dir": os.path.relpath(folder, notebook.parent),
    }
    parameters = params.resolve(
        schema,
        root / "params",
        paper=paper,
        benchmark=args.on,
        scale=scale,
        variant=args.variant,
        given=given | overrides,
    )
    title = f"{paper} on {args.on}, {folder.name}"
    return Plan(title, notebook, folder, parameters)


def _refuse_unknown(root: Path, *, paper: str, benchmark: str, scale: str) -> None:
    from reidlib.readers import BENCHMARKS

    notebooks = {path.stem for path in (root / "notebooks").glob("*.ipynb")}
    papers = notebooks & params.owners(root / "params" / "papers")
    scales = params.owners(root / "params" / "scales")
    asked = (("paper", paper, papers), ("benchmark", benchmark, BENCHMARKS))
    for what, name, known in (*asked, ("scale", scale, scales)):
        if name not in known:
            raise ParameterError(unknown(what, name, known))


def _read_overrides(pairs: Sequence[Sequence[str]], schema: dict) -> dict[str, Any]:
    for name, _ in pairs:
        if name in OPTIONS:
            raise ParameterError(f"{name}: give it by {OPTIONS[name]}, not by -p")
    return {
        name: read_value(text, schema[name].kind) if name in schema else text
        for name, text in pairs
    }


def _make_room(plan: Plan, *, fresh: bool) -> None:
    if fresh and (plan.folder / "params.yaml").is_file():
        shutil.rmtree(plan.folder)
    differences = runs.differing(plan.folder, plan.parameters)
    if differences:
        lines = [f"{_short(plan.folder)} holds a run with other parameters:"]
        for name, (there, wanted) in differences.items():
            lines.append(f"  {name}: {there!r} there, {wanted!r} wanted")
        lines.append("--fresh throws it away, --outputs DIR keeps both")
        raise runs.RunError("\n".join(lines))


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
            for name in (execute.NOTEBOOK, execute.ERROR_LOG):
                _complain(f"see {_short(plan.folder / name)}")
            return False
    if args.html:
        execute.write_page(plan.folder)
    return True


def _short(path: Path) -> str:
    path, here = path.resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _table(rows: pd.DataFrame) -> str:
    return runs.score_table(rows).to_string(index=False)


def show_results(args: argparse.Namespace, root: Path) -> int:
    """Print every finished run under --outputs."""
    rows = runs.collect(args.outputs)
    if rows.empty:
        raise runs.RunError(f"no finished run in {_short(args.outputs)}: try reid run")
    print(_table(rows))
    return 0


def check_data(args: argparse.Namespace, root: Path) -> int:
    """Print the counts of a folder; name every file that cannot be used."""
    from reidlib import readers

    try:
        print(readers.check(args.folder).to_string())
    except readers.DataError as error:
        return _complain(error)
    return 0


def show_tree(args: argparse.Namespace, root: Path) -> int:
    """Print the folder layout that the reader of a benchmark expects."""
    from reidlib.readers import TREES

    if args.benchmark not in TREES:
        raise ParameterError(unknown("benchmark", args.benchmark, TREES))
    print(TREES[args.benchmark])
    return 0


if __name__ == "__main__":
    sys.exit(main())
