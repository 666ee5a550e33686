"""`reid study`: what the study still needs, and by --run its runs, by priority."""

import argparse
from pathlib import Path

from reidrun.cli.arguments import Whole, add_folder
from reidrun.cli.messages import complain, complain_of, say
from reidrun.runs import execute, study_plan, sweep
from reidrun.runs.plans import Plan

HEAD = ("part", "runs", "finished", "held up", "hours left", "for")


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid study` its arguments."""
    add = command.add_argument
    text = (
        "of params/study.yaml: each missing run of it is listed; all if none is named"
    )
    add("parts", nargs="*", metavar="PART", help=text)
    text = "make what is missing, the first part first; Ctrl-C stops, the same goes on"
    add("--run", action="store_true", help=text)
    text = (
        "runs side by side (%(default)s); they share the cores unless OMP_NUM_THREADS"
    )
    add("--jobs", action=Whole, default=1, metavar="N", help=f"{text} is set")
    text = "folder in which images are kept decoded, for runs that read them often"
    add("--image-cache", type=Path, metavar="DIR", help=text)
    add_folder(command, "--data", root / "data", "that holds the benchmarks' folders")
    add_folder(command, "--outputs", root / "outputs", "of the runs")
    command.set_defaults(command=show_study)


def show_study(args: argparse.Namespace, root: Path) -> int:
    """Say what is missing; with --run make it instead."""
    sweep.check_jobs(args.jobs)
    places = args.outputs.resolve(), args.data.resolve()
    parts = study_plan.plan_study(
        *places, args.parts, root, image_cache=args.image_cache
    )
    plans = [plan for part in parts.values() for plan in part]
    held_up = study_plan.held_up(plans)
    lacking = {plan.folder for found in held_up.values() for plan in found}
    for lack, found in held_up.items():
        complain(f"{len(found)} runs, first {found[0].title}, are held up: {lack}")
    if args.run:
        able = [plan for plan in plans if plan.folder not in lacking]
        return max(_run(able, args.jobs, held_up), bool(held_up))
    _show(parts, lacking, args.jobs, root)
    for plan in sweep.missing(plans) if args.parts else ():
        say(plan.title)
    left = study_plan.left_of(plans, study_plan.paces_of(plans))
    others = study_plan.others_in_words(held_up)
    makes = f"; --run makes {'the others' if held_up else 'them'}"
    can = left.runs > len(lacking)
    say(f"{study_plan.in_words(left, args.jobs)}{others}{makes if can else ''}")
    return 0


def _run(plans: list[Plan], jobs: int, held_up: dict[str, list[Plan]]) -> int:
    failures = study_plan.run_study(plans, jobs, say, held_up)
    complain_of(failures, execute.NOTEBOOK, execute.ERROR_LOG)
    return 1 if failures else 0


def _show(
    parts: dict[str, list[Plan]], lacking: set[Path], jobs: int, root: Path
) -> None:
    known = study_plan.read_parts(root)
    paces = study_plan.paces_of(plan for plans in parts.values() for plan in plans)
    rows = [HEAD]
    for name, plans in parts.items():
        left = study_plan.left_of(plans, paces)
        held_up = sum(plan.folder in lacking for plan in plans)
        counts = map(str, (len(plans), len(plans) - left.runs, held_up))
        rows.append((name, *counts, _hours(left, jobs), known[name].about))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip())


def _hours(left: study_plan.Left, jobs: int) -> str:
    """The time left as 1:05, "" for none; runs whose pace is not known are `?`.

    >>> _hours(study_plan.Left(3, 5400.0, 1), 2), _hours(study_plan.Left(2, 0.0, 2), 1)
    ('0:45 + ?', '?')
    """
    known = [study_plan.clock(left.seconds / jobs)] if left.seconds else []
    return " + ".join(known + ["?"] * bool(left.untimed))
