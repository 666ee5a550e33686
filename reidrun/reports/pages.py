"""The pages that show runs: README's table and the index of executed notebooks."""

import re
from pathlib import Path

from reidlib.files import write_text
from reidrun.reports import gallery
from reidrun.reports.readme import INDEX, README, between_marks, markdown, results_table
from reidrun.reports.records import RECORDS, collect
from reidrun.runs.environment import tracked


def made_pages(root: Path, outputs: Path) -> dict[Path, str]:
    """README.md and outputs/index.html as they ought to be, from what git tracks.

    Without git, from all that is there.
    """
    among = tracked(outputs)
    found = collect(outputs, among)
    readme = root / README
    before = readme.read_text("utf-8") if readme.is_file() else ""
    table = markdown(results_table(found, root))
    return {
        readme: between_marks(before, table),
        outputs / INDEX: gallery.page(outputs, found, root, among),
    }


def write_pages(root: Path, outputs: Path) -> list[Path]:
    """Write the table and the gallery; return their paths."""
    written = made_pages(root, outputs)
    for path, text in written.items():
        write_text(path, text)
    return list(written)


def stale_pages(root: Path, outputs: Path) -> list[Path]:
    """Which of the table and the gallery are not as the runs have them.

    A small picture is compared by the figure that it was made of, not by its bytes:
    these depend on the library that compressed it.
    """
    return [
        path
        for path, text in made_pages(root, outputs).items()
        if not path.is_file()
        or _comparable(path.read_text("utf-8")) != _comparable(text)
    ]


def untracked_runs(outputs: Path) -> list[str]:
    """Finished runs that git neither tracks nor ignores, so that no page has them."""
    others = tracked(outputs, "--others", "--exclude-standard") or set()
    found = [path.parent for path in sorted(outputs.glob(RECORDS)) if path in others]
    return [folder.relative_to(outputs).as_posix() for folder in found]


def _comparable(text: str) -> str:
    return re.sub(r"data:image/\w+;base64,[\w+/=]+", "", text)
