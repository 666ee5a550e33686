"""Figures for the notebooks: each function returns one matplotlib Figure.

Colours are told apart with any colour vision, and never carry a meaning alone.
"""

from reidlib.plots.charts import (
    cmc_curves,
    feature_points,
    history_curves,
    precision_staircase,
    run_curves,
    value_curve,
)
from reidlib.plots.pictures import (
    batch_grid,
    image_grid,
    label_overlays,
    mask_overlays,
    ranked_lists,
)
from reidlib.plots.rows import claim_forest, variant_dots
from reidlib.plots.style import compact_output

__all__ = [
    "batch_grid",
    "claim_forest",
    "cmc_curves",
    "compact_output",
    "feature_points",
    "history_curves",
    "image_grid",
    "label_overlays",
    "mask_overlays",
    "precision_staircase",
    "ranked_lists",
    "run_curves",
    "value_curve",
    "variant_dots",
]
