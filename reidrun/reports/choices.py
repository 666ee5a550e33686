"""What is chosen on the validation world: each paper's recipe, length and size.

docs/protocol.md has the rules. Scores here are validation mAP, in percent.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from reidrun.reports.published import HEADLINES
from reidrun.reports.study import BASELINES
from reidrun.runs.asked import Need
from reidrun.runs.folder import is_complete
from reidrun.runs.params import FULL
from reidrun.runs.plans import Plan
from reidrun.runs.records import read_history, read_record
from reidrun.runs.study_plan import Part

ROLES = ("baseline", "whole method")
VALIDATION = "arcade"  # the world it is done on, so that no claim is judged there
WITHIN = 0.5  # points of mAP: closer points of a grid are as good
MOVED = 1.0  # points of mAP: what a longer training may change at most
ENOUGH, TOO_SHORT, HURTS = "yes", "no", "longer hurts"


def grid(part: Part, plans: Iterable[Plan]) -> pd.DataFrame:
    """Scores of baseline and whole method, or of two other rows, and their mean.

    A row for each point, labelled by the parameters that the part's axes name; nan
    where nobody ran it. Where the part has needs, column `meets` says whether the whole
    method meets them there: yes, no, or "" before it was run.
    """
    names = [name for axis in part.axes for name in axis[0]]
    plans, found, meets = [*plans], {}, {}
    have_roles = any(plan.variant in BASELINES for plan in plans)
    for plan in plans:
        point = tuple(plan.parameters[name] for name in names)
        row = _role(plan) if have_roles else plan.variant
        found.setdefault(point, {})[row] = validated(plan)
        if part.needs and plan.variant == FULL and is_complete(plan.folder):
            meets[point] = "yes" if _meets(plan, part.needs) else "no"
    index = pd.MultiIndex.from_tuples(found, names=names)
    table = pd.DataFrame([*found.values()], index)
    table = table.assign(mean=table.mean(axis=1, skipna=False))
    if part.needs:
        table["meets"] = [meets.get(point, "") for point in index]
    return table


def _meets(plan: Plan, needs: Iterable[Need]) -> bool:
    """Whether a run's measures show what is needed; what was not measured does not."""
    measures = read_record(plan.folder).get("measures", {})

    def measured(name: float | str) -> float:
        key = f"{plan.parameters['benchmark']}: {name}"
        return measures.get(key, float("nan")) if isinstance(name, str) else name

    return all(
        (need.below is None or measured(need.measure) < measured(need.below))
        and (need.above is None or measured(need.measure) > measured(need.above))
        for need in needs
    )


def chosen(table: pd.DataFrame) -> tuple | None:
    """The point of a grid that all rows of the paper get; None until all were run.

    Of the points that meet the grid's needs, or of all where none does, that of the
    highest mean; of those within half a point of it the lowest rate, which the first
    parameter is, then the longest warm-up, the last.
    """
    if table.empty or table["mean"].isna().any():
        return None
    if "meets" in table and (table["meets"] == "yes").any():
        table = table[table["meets"] == "yes"]
    close = table.index[table["mean"] >= table["mean"].max() - WITHIN]
    return min(close, key=lambda point: (point[0], -point[-1]))


def choice_in_words(table: pd.DataFrame) -> str:
    """Which point is chosen, and what the baseline scores there and at its own best."""
    point = chosen(table)
    if point is None:
        missing = int(table.drop(columns="mean").isna().sum().sum())
        return f"not chosen yet: {missing} runs of the grid are missing"
    said = ", ".join(_value_in_words(table, *pair) for pair in _named(table, point))
    said = f"chosen: {said}{_needs_in_words(table)}"
    if ROLES[0] not in table:
        return said
    own, best = table.loc[point, ROLES[0]], table[ROLES[0]].max()
    return f"{said}; the baseline scores {own:.1f} there, {best:.1f} at best"


def _needs_in_words(table: pd.DataFrame) -> str:
    if "meets" not in table:
        return ""
    meeting = int((table["meets"] == "yes").sum())
    if not meeting:
        return ", though the whole method meets its needs nowhere"
    return (
        f", of {meeting} of {len(table)} points where the whole method meets its needs"
    )


def best_of_baseline(table: pd.DataFrame) -> dict[str, float] | None:
    """The baseline's own best point, where the claim is judged against that as well.

    That is where it scores more than a point above what it has at the chosen one;
    elsewhere, and where nothing is chosen yet, None.
    """
    point = chosen(table)
    if point is None or ROLES[0] not in table:
        return None
    scores = table[ROLES[0]]
    if not scores.max() - scores[point] > MOVED:
        return None
    return dict(_named(table, scores.idxmax()))


def best_in_words(table: pd.DataFrame) -> str:
    """Whether the baseline's own best asks for a second comparison, and why not."""
    point = chosen(table)
    if point is None:
        return "not known yet"
    own, best = table.loc[point, ROLES[0]], table[ROLES[0]].max()
    scores = f"{best:.1f} at its own best, {own:.1f} at the chosen recipe"
    if (at := best_of_baseline(table)) is None:
        return f"{scores}; that is not over a point more, so nothing changes"
    where = ", ".join(f"{name} {value:g}" for name, value in at.items())
    return f"{scores}; that is over a point more, so {where} is compared with, too"


def _named(table: pd.DataFrame, point: tuple) -> list[tuple[str, float]]:
    return [*zip(table.index.names, point, strict=True)]


def _value_in_words(table: pd.DataFrame, name: str, value: float) -> str:
    """A chosen value; of three or more the first or last may not be the best there is.

    Of two, such as with and without a warm-up, each is an end and none says anything.
    """
    values = sorted(set(table.index.get_level_values(name)))
    is_edge = len(values) > 2 and value in (values[0], values[-1])
    return f"{name} {value:g}" + (" (the edge of the grid)" if is_edge else "")


def doubled(once: Iterable[Plan], twice: Iterable[Plan]) -> pd.DataFrame:
    """What doubling the length adds, in points; a row for each paper and role.

    Columns once, twice, added, and whether the length is enough: yes where the score
    moves by less than a point, no where it gains one, `longer hurts` where it loses
    one, and "" where it is not known.
    """
    table = _side_by_side({"once": once, "twice": twice})
    table["added"] = table["twice"] - table["once"]
    return table.assign(enough=[_enough(added) for added in table["added"]])


def _enough(added: float) -> str:
    if pd.isna(added):
        return ""
    if abs(added) < MOVED:
        return ENOUGH
    return TOO_SHORT if added > 0 else HURTS


def lengths(parts: Mapping[str, Sequence[Plan]]) -> pd.DataFrame:
    """`doubled` of the study: what `once` has beside its parts length-twice*."""
    twice = [parts[name] for name in parts if name.startswith("length-twice")]
    return doubled(once(parts), [plan for plans in twice for plan in plans])


def once(parts: Mapping[str, Sequence[Plan]]) -> list[Plan]:
    """The study's parts length*, which train once as long as its rows do.

    Where one of them is not finished and a grid has a finished run of the same
    parameters, under the name that it has there, that one stands in.
    """
    grids = [
        plan for n, plans in parts.items() if n.startswith("grid-") for plan in plans
    ]
    known = {_what(plan): plan for plan in grids if is_complete(plan.folder)}
    return [
        plan if is_complete(plan.folder) else known.get(_what(plan), plan)
        for name, plans in parts.items()
        if name.startswith("length") and not name.startswith("length-twice")
        for plan in plans
    ]


def _what(plan: Plan) -> str:
    """What a plan trains, whatever its folder is called."""
    named = {"run_dir", "variant"}
    known = {n: v for n, v in plan.parameters.items() if n not in named}
    return f"{plan.notebook.stem} {plan.variant} {sorted(known.items())}"


def lengths_in_words(table: pd.DataFrame) -> list[str]:
    """A sentence for each paper: whether its length is settled, with the last doubling.

    table   as `doubled` gives it
    """
    said = []
    for paper, own in table.groupby(level="paper", sort=False):
        moved = [
            f"the {role} by {row.added:+.1f}"
            for (_, role), row in own.iterrows()
            if not pd.isna(row.added)
        ]
        rest = "" if len(moved) == len(own) else "; other runs are missing"
        if not moved:
            said.append(
                f"{title(paper)}: whether the length is enough is not known yet."
            )
            continue
        found = {*own["enough"]}
        settled = "enough" if found == {ENOUGH} else "not settled"
        if HURTS in found and found <= {ENOUGH, HURTS}:
            settled = "kept, for a longer training hurts"
        points = " and ".join(moved)
        said.append(
            f"{title(paper)}: the length is {settled}:"
            f" doubling it moves {points} mAP{rest}."
        )
    return said


def title(run: str) -> str:
    """What the paper of a run is called in print; a run of none has its own name."""
    paper = run.partition("_")[0]
    return HEADLINES[paper].paper if paper in HEADLINES else paper


def same_order(small: Iterable[Plan], large: Iterable[Plan]) -> pd.DataFrame:
    """Whole method less baseline at both sizes, in points; a row for each paper."""
    table = _side_by_side({"small": small, "large": large}).unstack("role")
    gains = {
        size: table[size, ROLES[1]] - table[size, ROLES[0]]
        for size in ("small", "large")
    }
    found = pd.DataFrame(gains)
    same = (found["small"] * found["large"] > 0).map({True: "yes", False: "no"})
    known = found.notna().all(axis=1)
    return found.assign(same=same.where(known, ""))


def curves(plans: Iterable[Plan]) -> pd.DataFrame:
    """Validation mAP over the epochs, as `plots.run_curves` draws it: a panel a paper.

    Columns paper, benchmark (the role, a style of line), seed, epoch and value.
    """
    rows = [
        (plan.notebook.stem, _role(plan), plan.parameters["seed"], row.epoch, row.mAP)
        for plan in plans
        if is_complete(plan.folder)
        for row in read_history(plan.folder).itertuples()
        if not pd.isna(getattr(row, "mAP", None))
    ]
    names = ["paper", "benchmark", "seed", "epoch", "value"]
    found = pd.DataFrame(rows, columns=names)
    found = found.sort_values("benchmark", ascending=False, kind="stable")  # as colored
    return found.assign(value=100 * found["value"].astype(float))


def score_in_words(value: float | str) -> str:
    """A cell of a grid: one decimal, nothing where nobody ran it, words as they are."""
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else f"{value:.1f}"


def validated(plan: Plan) -> float:
    """The mAP of a run on what it was trained on, in percent; nan for none."""
    if not is_complete(plan.folder):
        return float("nan")
    scores = read_record(plan.folder)["scores"]
    return 100 * scores[plan.parameters["benchmark"]]["mAP"]


def _side_by_side(parts: Mapping[str, Iterable[Plan]]) -> pd.DataFrame:
    rows = {
        name: {(plan.notebook.stem, _role(plan)): validated(plan) for plan in plans}
        for name, plans in parts.items()
    }
    return pd.DataFrame(rows).rename_axis(["paper", "role"])


def _role(plan: Plan) -> str:
    return ROLES[plan.variant == FULL] if plan.variant in {FULL, *BASELINES} else ""
