"""`reid sweep`: the variants of an ablation by benchmarks and seeds, and its page."""

import argparse
from functools import partial
from pathlib import Path

from reidlib.benchmarks import TITLES
from reidrun.cli.arguments import Whole, add_values, list_names
from reidrun.cli.messages import complain, complain_of, say, short
from reidrun.runs import execute, params, sweep, workflow
from reidrun.runs.errors import ParameterError, RunError


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid sweep` its arguments."""
    ablations = params.owners(root / "params" / "ablations")
    scales = params.owners(root / "params" / "scales")
    list_names(command, ablations=ablations, benchmarks=TITLES, scales=scales)
    text = "a file of params/ablations, or its name: fanet_components"
    command.add_argument("ablation", metavar="ABLATION", help=text)
    several = partial(command.add_argument, nargs="+", metavar="NAME")
    several("--on", required=True, help="benchmarks, e.g. plaza station")
    several("--variants", default=[], help="rows of the ablation; all if not given")
    several("--seeds", required=True, action=Whole, metavar="SEED", help="e.g. 0 1 2")
    text = (
        "runs side by side (1, or what a profile says); they share the cores unless"
        " OMP_NUM_THREADS is set, and another number of threads changes results in"
        " their last bits"
    )
    command.add_argument("--jobs", action=Whole, metavar="N", help=text)
    text = (
        "a folder of profiles/ that says where Snakemake queues the runs, e.g. slurm."
        " Without it: `default`, on this machine, where Snakemake is installed; else"
        " `none`, on this machine without Snakemake"
    )
    command.add_argument("--profile", metavar="NAME", help=text)
    add_values(command, root)
    command.set_defaults(command=run_sweep)


def run_sweep(args: argparse.Namespace, root: Path) -> int:
    """Run what is missing of an ablation, then the notebook that shows it."""
    ablation = _ablation_name(args.ablation, root)
    asked = workflow.Request(
        runs=[ablation],
        benchmarks=args.on,
        variants=args.variants,
        seeds=args.seeds,
        scale=args.scale,
        parameters=dict(args.parameter),
        outputs=args.outputs.resolve(),
        data=args.data.resolve(),
    )
    profile = workflow.choose_profile(args.profile, root)
    plans = asked.ablation(ablation, root)
    page = asked.page(ablation, root)
    if profile == workflow.NO_PROFILE:
        jobs = 1 if args.jobs is None else args.jobs
        failures = sweep.run(plans, jobs, say)
    else:
        queue = {"profile": profile, "jobs": args.jobs, "root": root}
        failures = workflow.run(plans, asked, **queue)
    complain_of(failures, execute.NOTEBOOK, execute.ERROR_LOG)
    if args.scale or args.parameter:
        say("the ablation's page shows no runs with -p or --scale: not executed")
    shown = page is None or _write_page(page)
    return 0 if shown and not failures else 1


def _ablation_name(text: str, root: Path) -> str:
    given = Path(text)
    wanted = root / "params" / "ablations" / f"{given.stem}.yaml"
    if given.is_file() and given.resolve() != wanted.resolve():
        raise ParameterError(f"{text}: an ablation lives in params/ablations/")
    return given.stem


def _write_page(page: sweep.Page) -> bool:
    try:
        execute.execute_page(*page)
    except RunError as error:
        complain(f"{page.notebook.name} failed: {error}")
        complain(f"see {short(page.output)}")
        return False
    say(f"{page.notebook.stem}: {short(page.output)}")
    return True
