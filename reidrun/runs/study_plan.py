"""The study: all runs that its claims need, in the order of what they tell.

params/study.yaml lists them in parts, the most telling first. A part becomes the same
plans that `reid run` and `reid sweep` make, so it does not matter which of the three
made a run, or where it was stopped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from reidlib.benchmarks.counts import expected
from reidlib.checks import unknown
from reidrun.runs import sweep
from reidrun.runs.asked import Need
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.folder import is_complete
from reidrun.runs.missing import refuse_missing_files
from reidrun.runs.params import FULL, choose_variants, owners, read_ablation, read_yaml
from reidrun.runs.plans import Plan, make_plans, papers, refuse_other_parameters
from reidrun.runs.records import read_record

FILE = "study.yaml"
Changes = dict[str, Any]  # parameters by name
Paces = dict[tuple, list[float]]


class Part(BaseModel, extra="forbid"):
    """Runs for one purpose.

    about        what for
    runs         papers and ablations by name
    rows         of an ablation: those that a claim compares, the others, or by name;
                 of a paper: variants by name, the whole method if none is
    benchmarks   to train on
    scale        of params/scales; the usual one of each benchmark if none is named
    changes      parameters that all have in another way
    axes         lists of further changes: every combination is a run of its own
    needs        of a grid: what its whole method must show, so that a choice by mAP
                 does not lose what the paper is about
    """

    about: str
    runs: list[str] = Field(min_length=1)
    rows: Literal["claimed", "others"] | list[str] = []
    benchmarks: list[str] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    scale: str | None = None
    changes: Changes = {}
    axes: list[list[Changes]] = []
    needs: list[Need] = []

    def combinations(self) -> Iterator[Changes]:
        """What each run has in another way, in the order of the axes."""
        for chosen in product(*self.axes):
            merged = dict(self.changes)
            for changes in chosen:
                merged |= changes
            yield merged


class _File(BaseModel, extra="forbid"):
    parts: dict[str, Part]


class Left(NamedTuple):
    """What is still to be made.

    seconds   of one run after the other, as long as finished ones took
    untimed   runs that are not in `seconds`: none of their paper is finished
    """

    runs: int
    seconds: float
    untimed: int


def read_parts(root: Path = ROOT) -> dict[str, Part]:
    """The parts of params/study.yaml by name, in order; ParameterError for a fault."""
    path = root / "params" / FILE
    if not path.is_file():
        raise ParameterError(f"no params/{FILE}: it says which runs the study needs")
    try:
        return _File.model_validate(read_yaml(path)).parts
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise ParameterError(f"params/{FILE}: {place}: {fault['msg']}") from None


def plan_study(
    outputs: Path,
    data_root: Path,
    names: Sequence[str] = (),
    root: Path = ROOT,
    *,
    image_cache: Path | None = None,
) -> dict[str, list[Plan]]:
    """The plans of each part, all of a seed before the next; a run is in one part only.

    names         of parts; all where none is named
    image_cache   folder in which images are kept decoded; None decodes them each time
    Raises ParameterError for what is unknown or out of its range, and RunError where a
    folder holds a run with other parameters.
    """
    parts = read_parts(root)
    for name in names:
        if name not in parts:
            raise ParameterError(unknown("part of the study", name, parts))
    places = {"outputs": outputs, "data_root": data_root, "image_cache": image_cache}
    seen: set[Path] = set()
    planned = {}
    for name, part in parts.items():
        try:
            plans = _plans(part, root, **places)
        except ParameterError as error:
            raise ParameterError(f"params/{FILE}, {name}: {error}") from None
        planned[name] = [p for p in plans if p.folder not in seen]
        seen |= {plan.folder for plan in plans}
    chosen = {name: planned[name] for name in planned if name in (names or planned)}
    for plan in (plan for plans in chosen.values() for plan in plans):
        refuse_other_parameters(plan)
    return chosen


def _plans(
    part: Part, root: Path, *, outputs: Path, data_root: Path, image_cache: Path | None
) -> list[Plan]:
    found: dict[Path, Plan] = {}
    kept = {"image_cache": str(image_cache.resolve())} if image_cache else {}
    for run, changes in product(part.runs, part.combinations()):
        for plan in make_plans(
            root,
            run.partition("_")[0],
            benchmarks=part.benchmarks,
            seeds=part.seeds,
            variants=_rows(part, run, root / "params"),
            scale=part.scale,
            overrides=changes | kept,
            outputs=outputs,
            data_root=data_root,
        ):
            found.setdefault(plan.folder, plan)
    return sorted(found.values(), key=lambda plan: plan.parameters["seed"])


def _rows(part: Part, run: str, layers: Path) -> list[Any]:
    named = part.rows if isinstance(part.rows, list) else []
    if run in papers(layers.parent):
        if isinstance(part.rows, str):
            raise ParameterError(f"{run} is a paper: name its rows, not {part.rows}")
        return choose_variants(layers, run, named or [FULL])
    known = owners(layers / "ablations")
    if run not in known:
        raise ParameterError(unknown("ablation", run, known | papers(layers.parent)))
    ablation = read_ablation(layers, run)
    claimed = set(ablation.compared)
    rows = {row.name: row for row in ablation.variants}
    for name in named:
        if name not in rows:
            raise ParameterError(unknown(f"variant of {run}", name, rows))
    wanted = {"claimed": claimed, "others": rows.keys() - claimed}
    chosen = wanted[part.rows] if isinstance(part.rows, str) else set(named or rows)
    return [row for name, row in rows.items() if name in chosen]


def held_up(plans: Iterable[Plan]) -> dict[str, list[Plan]]:
    """Unfinished plans that this machine cannot make, by what it lacks.

    Runs of a paper on a benchmark from the same weights lack the same.
    """
    found: dict[str, list[Plan]] = {}
    lacking: dict[tuple, str] = {}
    for plan in sweep.missing(plans):
        key = _origin(plan)
        if key not in lacking:
            lacking[key] = _lack(plan)
        if lacking[key]:
            found.setdefault(lacking[key], []).append(plan)
    return found


def _origin(plan: Plan) -> tuple:
    names = ("benchmark", "backbone", "pretrained", "also_on", "device", "precision")
    return plan.notebook, *(str(plan.parameters.get(name)) for name in names)


def _lack(plan: Plan) -> str:
    try:
        refuse_missing_files([plan])
    except ParameterError as error:
        return str(error)
    return ""


def paces_of(plans: Iterable[Plan]) -> Paces:
    """Seconds that the finished ones took per image and epoch, by what they are."""
    paces: Paces = {}
    for plan in plans:
        if seconds := _seconds(plan):
            for key in _alike(plan):
                paces.setdefault(key, []).append(seconds / _work(plan))
    return paces


def left_of(plans: Iterable[Plan], paces: Paces) -> Left:
    """How much is left of some plans, by the median pace of finished ones.

    That of the same row at the same size if one is finished, else of the paper at that
    size, else of the paper.
    """
    missing, seconds, untimed = sweep.missing(plans), 0.0, 0
    for plan in missing:
        known = next((paces[key] for key in _alike(plan) if key in paces), None)
        seconds += median(known) * _work(plan) if known else 0.0
        untimed += known is None
    return Left(len(missing), seconds, untimed)


def _seconds(plan: Plan) -> float:
    """What a finished run took, tests included where it says so; 0 for another."""
    if not is_complete(plan.folder):
        return 0.0
    try:
        record = read_record(plan.folder)
    except RunError:  # `reid results` names it
        return 0.0
    return max(record["seconds"], record.get("seconds_in_all", 0.0))


def _alike(plan: Plan) -> list[tuple]:
    paper, height = plan.notebook.stem, plan.parameters.get("image_height")
    return [(paper, height, plan.variant), (paper, height), (paper,)]


def _work(plan: Plan) -> int:
    """Images that a run trains on, over all epochs."""
    images = expected(plan.parameters["benchmark"], {}).train.images
    return plan.parameters["epochs"] * images


def run_study(
    plans: Sequence[Plan],
    jobs: int,
    report: Callable[[str], object],
    held_up: Mapping[str, Sequence[Plan]],
) -> list[sweep.Failure]:
    """Run what is missing, in this order, saying after each run what is left.

    held_up   what cannot be made here and is left as well, as the function has it
    """

    def with_rest(line: str) -> None:
        left = left_of(plans, paces_of(plans))
        report(f"{line}; {in_words(left, jobs)}{others_in_words(held_up)}")

    return sweep.run(plans, jobs, with_rest)


def in_words(left: Left, jobs: int = 1) -> str:
    """What is left, in words.

    >>> in_words(Left(3, 5400.0, 1), jobs=2)
    '3 runs left, about 0:45 h, 1 of them not timed yet'
    """
    if not left.runs:
        return "none left"
    about = f", about {clock(left.seconds / jobs)} h" if left.seconds else ""
    untimed = f", {left.untimed} of them not timed yet" if left.untimed else ""
    return f"{left.runs} runs left{about}{untimed}"


def others_in_words(held_up: Mapping[str, Sequence[Plan]]) -> str:
    """How many runs are held up besides, and by what; "" where none is.

    >>> others_in_words({"no weights": ["a run", "another"], "no GPU": ["a third"]})
    ', but 2 held up (no weights), 1 held up (no GPU)'
    """
    each = [
        f"{len(found)} held up ({lack.splitlines()[0]})"
        for lack, found in held_up.items()
    ]
    return f", but {', '.join(each)}" if each else ""


def clock(seconds: float) -> str:
    """Seconds as hours and minutes.

    >>> clock(3900.0)
    '1:05'
    """
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02}"
