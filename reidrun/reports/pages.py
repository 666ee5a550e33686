"""The page that shows all runs: the README's two tables."""

from pathlib import Path

from reidlib.files import write_text
from reidrun.reports.all_claims import as_judged, counts_markdown, seeds_wanted
from reidrun.reports.choices import VALIDATION
from reidrun.reports.readme import README, between_marks, markdown, results_table
from reidrun.reports.records import RECORDS, collect
from reidrun.reports.study import gather_all
from reidrun.runs import study_plan
from reidrun.runs.environment import tracked

CLAIMS = (
    "<!-- claims: `make results` writes these lines -->",
    "<!-- end of claims -->",
)


def made_readme(root: Path, outputs: Path) -> str:
    """README.md as it ought to be, from what git tracks; without git, from all runs.

    Runs on the world on which recipes are chosen are in none of its tables.
    """
    readme = root / README
    before = readme.read_text("utf-8") if readme.is_file() else ""
    found = collect(outputs, tracked(outputs))
    found = found[found["benchmark"] != VALIDATION]
    made = between_marks(before, markdown(results_table(found, root)))
    if CLAIMS[0] not in made:
        return made
    judged = as_judged(gather_all(found, outputs, root))
    is_planned = (root / "params" / study_plan.FILE).is_file()
    wanted = seeds_wanted(study_plan.read_parts(root)) if is_planned else {}
    return between_marks(made, counts_markdown(judged, wanted), CLAIMS)


def write_readme(root: Path, outputs: Path) -> Path:
    """Write the table; return the path of the README."""
    write_text(root / README, made_readme(root, outputs))
    return root / README


def is_stale(root: Path, outputs: Path) -> bool:
    """Whether the README's table is not as the runs have it."""
    return (root / README).read_text("utf-8") != made_readme(root, outputs)


def untracked_runs(outputs: Path) -> list[str]:
    """Finished runs that git neither tracks nor ignores, so that no page has them."""
    others = tracked(outputs, "--others", "--exclude-standard") or set()
    found = [path.parent for path in sorted(outputs.glob(RECORDS)) if path in others]
    return [folder.relative_to(outputs).as_posix() for folder in found]
