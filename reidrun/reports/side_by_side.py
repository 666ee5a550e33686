"""Four papers beside each other, each against its own baseline.

For notebooks/study.ipynb. Two rows are compared over the seeds that both have: one with
a seed more would be another mean.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from reidlib.benchmarks import PICTURES
from reidlib.evaluation.statistics import in_points
from reidrun.reports.study import BASELINES
from reidrun.reports.tables import NO_BREAK, mean_and_deviation
from reidrun.runs.asked import FULL
from reidrun.runs.names import row_name
from reidrun.runs.records import read_record

RUN = ["pictures", "trained on", "tested on", "paper"]
IMAGE_ALONE = "visual"  # how FBA's image tower searches by itself
CAPTIONS = {  # ways to search that FBA's runs recorded, in words
    "caption words": "captions as sets of words",
    "captions alone": "captions through the frozen tower",
    "": "whole method",
    IMAGE_ALONE: "its image tower alone",
    "wrong captions": "with captions of others",
}


class Look(NamedTuple):
    """A measure of where a whole method looks, and what it stands beside.

    beside   another measure of the same runs: where looking everywhere would lie, or
             the same before training
    """

    measure: str
    beside: str


def scores(
    found: pd.DataFrame,
    metric: str = "mAP",
    wanted: Mapping[tuple[str, str], int] | None = None,
) -> pd.DataFrame:
    """Baseline and whole method in percent, and what is gained, over shared seeds.

    found    finished runs, as `records.collect` gives them
    metric   mAP, or rankK
    wanted   seeds of the study, as `all_claims.seeds_wanted` gives them
    A row for each paper and test, rendered people first; FBA has one for its image
    tower alone. Cells are mean ± standard deviation; seeds says how many are missing.
    """
    own = found[found["search"].isin(["", IMAGE_ALONE])]
    rows = {}
    for key, both in _pairs(own):
        _, trained_on, _, paper = key
        pair = both.pivot(columns="role", values=metric)
        cells = {r: mean_and_deviation(100 * v, ".1f") for r, v in pair.items()}
        cells["gain"] = _gain(pair["whole method"] - pair["baseline"])
        seeds, most = len(pair), (wanted or {}).get((paper, trained_on), 0)
        cells["seeds"] = f"{seeds} of {most}" if seeds < most else str(seeds)
        rows[key] = cells
    return _readable(_framed(rows, RUN))


def captions(found: pd.DataFrame) -> pd.DataFrame:
    """FBA's whole method beside its baseline, and beside captions without any image.

    mAP in percent, mean ± standard deviation over the seeds that baseline and whole
    method share; a row for each test whose runs compared captions alone.
    """
    rows = {}
    for key, both in _pairs(found[found["search"] == ""]):
        _, trained_on, tested_on, paper = key
        known = found[(found["benchmark"] == trained_on) & (found["paper"] == paper)]
        known = known[known["tested_on"] == tested_on]
        known = known[(known["variant"] == FULL) & known["seed"].isin(both.index)]
        ways = {way: own["mAP"] for way, own in known.groupby("search")}
        if "caption words" in ways:
            plain = both.loc[both["role"] == "baseline", "mAP"]
            cells = {"baseline, without captions": plain}
            cells |= {w: ways[way] for way, w in CAPTIONS.items() if way in ways}
            words = {n: mean_and_deviation(100 * v, ".1f") for n, v in cells.items()}
            rows[key[:3]] = words | {"seeds": both.index.nunique()}
    return _readable(_framed(rows, RUN[:3]).fillna(""))


def looks(
    found: pd.DataFrame, outputs: Path, asked: Mapping[str, Look]
) -> pd.DataFrame:
    """Where whole methods look, mean over seeds, beside what that is to be compared to.

    found   finished runs, from `outputs`
    asked   by paper
    A row for each paper and test whose runs recorded both; times is their ratio.
    """
    rows = []
    whole = found[(found["variant"] == FULL) & (found["search"] == "")]
    for run in whole[whole["paper"].isin(asked)].itertuples():
        known = read_record(outputs / run.folder).get("measures", {})
        names = asked[run.paper]
        pair = [known.get(f"{run.tested_on}: {name}") for name in names]
        if None not in pair:
            test = run.pictures, run.benchmark, run.tested_on, run.paper
            rows.append((*test, *names, *pair))
    columns = [*RUN, *Look._fields]
    table = pd.DataFrame(rows, columns=[*columns, "value", "beside it"])
    means = table.groupby(columns)[["value", "beside it"]].mean()
    means["times"] = means["value"] / means["beside it"]
    means["seeds"] = table.groupby(columns).size()
    return _readable(means)


def seconds(found: pd.DataFrame, outputs: Path) -> pd.DataFrame:
    """Seconds of training and memory, as runs recorded them, over shared seeds.

    times is whole method over baseline, which were made on the same machine; memory is
    of the whole method's runs, in MiB: the accelerator's, or the process's without one.
    """
    rows = {}
    at_home = found[
        (found["search"] == "") & (found["benchmark"] == found["tested_on"])
    ]
    for (kind, trained_on, _, paper), both in _pairs(at_home):
        machines, memory = set(), []
        for role, folder in zip(both["role"], both["folder"], strict=True):
            record = read_record(outputs / folder)
            machines.add(_machine(record["hardware"]))
            if role == "whole method":
                peaks = record["peak_memory_mib"]
                memory.append(peaks["accelerator"] or peaks["host"])
        spent = both.groupby("role")["seconds"].mean()
        cells = spent.round(0).astype(int).to_dict()
        cells |= {"times": round(spent["whole method"] / spent["baseline"], 2)}
        cells |= {"MiB": max(memory), "seeds": both.index.nunique()}
        cells |= {"on": ", ".join(sorted(machines))}
        rows[kind, trained_on, paper] = cells
    return _readable(_framed(rows, [name for name in RUN if name != "tested on"]))


def _pairs(found: pd.DataFrame) -> list[tuple[tuple, pd.DataFrame]]:
    """Runs of baselines and whole methods by test, those seeds alone that have both.

    Frames are indexed by seed, with the role beside each.
    """
    known = found[found["variant"].isin([FULL, *BASELINES])].copy()
    known["role"] = "baseline"
    known.loc[known["variant"] == FULL, "role"] = "whole method"
    known["trained on"] = known["benchmark"]
    tests = known[["tested_on", "search"]].itertuples(index=False)
    known["tested on"] = [row_name((name, search)) for name, search in tests]
    pairs = []
    for key, own in known.groupby(RUN):
        both = own.set_index("seed").sort_index()
        roles = both.groupby(level=0)["role"].nunique()
        both = both[both.index.isin(roles.index[roles == 2])]
        if len(both):
            pairs.append((key, both))
    return pairs


def _framed(rows: Mapping[tuple, Mapping[str, Any]], names: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([*rows], names=names)
    return pd.DataFrame([*rows.values()], index)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Pictures by the words that pages have, rendered people first."""
    kinds = table.index.get_level_values("pictures")
    ordered = table.iloc[(kinds != "rendered").argsort(kind="stable")]
    return ordered.rename(PICTURES, level="pictures")


def _gain(values: pd.Series) -> str:
    spread = f" ± {100 * values.std():.1f}" if len(values) > 1 else ""
    return in_points(values.mean()) + spread.replace(" ", NO_BREAK)


def _machine(hardware: Mapping[str, Any]) -> str:
    card = hardware["accelerator"]
    return hardware["processor"] if card == "none" else card
