"""Scores of runs that nobody made, as the charts want them."""

import pandas as pd


def tidy(values: dict, names: list | None = None, seeds: str = "seed") -> pd.DataFrame:
    """A row for each value of {benchmark: {variant: one for each seed}}.

    names   of all variants, as categories; benchmarks are categories then
    seeds   "variant": the variants are seeds, and their values those of epochs
    """
    rows = [
        (benchmark, variant, i if seeds == "seed" else place, "mAP", value)
        for benchmark, variants in values.items()
        for place, (variant, runs) in enumerate(variants.items())
        for i, value in enumerate(runs)
    ]
    columns = ["benchmark", "variant", "seed", "metric", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    if names is not None:
        frame["benchmark"] = pd.Categorical(frame["benchmark"], [*values])
        frame["variant"] = pd.Categorical(frame["variant"], names)
    return frame


def ends(values: pd.Series) -> tuple[float, float]:
    """An interval that is one wider than its values, to both sides."""
    return values.min() - 1, values.max() + 1
