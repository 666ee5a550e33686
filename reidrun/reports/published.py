"""The papers' own numbers, as printed. They share no column with ours."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

PAPER_RESULTS = Path(__file__).parents[1] / "assets" / "paper_results.csv"


class Headline(NamedTuple):
    """Where a paper prints its whole method and its baseline.

    rows         by our variant: tables, and the row in each, as printed
    trained_on   of data sets that the paper tests only, where it is not the usual one
    benchmarks   ours for a data set, where it is not the one of the same name
    """

    paper: str
    rows: dict[str, dict[str, str]]
    trained_on: dict[str, str] = {}
    benchmarks: dict[str, str] = {}


HEADLINES = {  # by notebook, in the order of the README
    "fanet": Headline(
        "FA-Net",
        {
            "full": {"Table I": "FA-Net (B/L+TEM+BG+IA+TAL+HPP)"},
            "baseline": {"Table I": "Baseline"},
        },
    ),
    "rganet": Headline(
        "RGANet",
        {
            "full": {
                f"Table {number}": "RGANet" for number in ("I", "II", "III", "IV")
            },
            "baseline": {"Table V": "0: Baseline"},
        },
        benchmarks={"MSMT17": "msmt17_trainval"},  # RGA-16: both lists
    ),
    "flannet": Headline(
        "FLaN-Net",
        {
            "full": {f"Table {number}": "FLaN-Net" for number in (1, 2, 3)},
            "none": {"Table 5": "1: none"},
        },
    ),
    "fba": Headline(
        "FBA",
        {
            "full": {"Table 1": "ViT: FBA"},
            "baseline": {"Table 1": "ViT: Baseline"},  # FBA-14: Table 3 has another
        },
        trained_on={"Occluded-REID": "CUHK03-NP(labeled)"},  # "Occluded ReID"
    ),
}


def headline(paper: str) -> pd.DataFrame:
    """A paper's whole method and its baseline: rows (variant, data set), mAP and R1.

    paper   as its notebook is called; one without an entry in HEADLINES has no rows
    Percent as printed, nan where nothing is.
    """
    found = {}
    if paper in HEADLINES:
        name, headings = HEADLINES[paper][:2]
        for variant, tables in headings.items():
            for table, row in tables.items():
                by_set = published(name, table).loc[row].unstack(sort=False)
                for dataset, values in by_set.dropna(how="all").iterrows():
                    found[variant, dataset] = values.reindex(["mAP", "R1"])
    index = pd.MultiIndex.from_tuples(found, names=["variant", "dataset"])
    return pd.DataFrame(list(found.values()), index=index, columns=["mAP", "R1"])


@cache
def _numbers() -> pd.DataFrame:
    return pd.read_csv(PAPER_RESULTS)


def published(paper: str, table: str, *, own: bool = True) -> pd.DataFrame:
    """A table of a paper: one row per method, one column per (data set, metric).

    paper, table   as printed, e.g. "FA-Net", "Table I"
    own            only the paper's own method and ablations
    Values and order are as printed, scores in percent, nan where nothing is. Raises
    ValueError for a paper or table without numbers.
    """
    numbers = _numbers()
    rows = numbers[(numbers["paper"] == paper) & (numbers["table"] == table)]
    if own:
        rows = rows[rows["own"] == 1]
    if rows.empty:
        known = numbers[["paper", "table"]].drop_duplicates()
        pairs = ", ".join(f"{row.paper} {row.table}" for row in known.itertuples())
        raise ValueError(f"no numbers of {paper} {table} were copied, only of: {pairs}")
    values = rows.set_index(["row", "dataset", "metric"])["value"]
    wide = values.unstack(["dataset", "metric"], sort=False)
    return wide.rename_axis(index=None, columns=(None, None))
