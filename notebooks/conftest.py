"""Which notebooks are run: those whose images are drawn, or are there."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
IS_RENDERED = (ROOT / "data" / "atrium_smoke").is_dir()  # by `reid data render`
collect_ignore = [] if IS_RENDERED else ["rendered.ipynb"]
