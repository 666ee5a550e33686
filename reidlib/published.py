"""The papers' own numbers, as printed. They share no column with ours."""

from pathlib import Path

import pandas as pd

PUBLISHED = Path(__file__).parent / "assets" / "paper_results.csv"


def published(paper: str, table: str, *, own: bool = True) -> pd.DataFrame:
    """A table of a paper: one row per method, one column per (data set, metric).

    paper, table   as printed, e.g. "FA-Net", "Table I"
    own            only the paper's own method and ablations
    Values and order are as printed, scores in percent, nan where nothing is. Raises
    ValueError for a paper or table without numbers.
    """
    numbers = pd.read_csv(PUBLISHED)
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
