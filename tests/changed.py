"""Prints which tests concern what is not committed yet, for `make check`.

A test has the path of its module: tests/losses/test_triplet.py is that of
reidlib/losses/triplet.py. A module without a test of its own has those of its room.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WINGS = ("reidlib", "reidrun")


def changed() -> list[str]:
    """Files that differ from the last commit, and new ones."""
    names = _git("diff", "--name-only", "--diff-filter=d", "HEAD")
    return sorted({*names, *_git("ls-files", "--others", "--exclude-standard")})


def _git(*words: str) -> list[str]:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def mirrored(names: Iterable[str], root: Path = ROOT) -> list[str]:
    """Paths that pytest runs: tests, and modules for the examples in them."""
    found = []
    for path in map(Path, names):
        if path.suffix != ".py":
            continue
        if path.parts[0] == "tests" and path.name.startswith("test_"):
            found.append(path)
        elif path.parts[0] in WINGS:
            own = Path("tests", *path.parts[1:-1], f"test_{path.name}")
            room = Path("tests", *path.parts[1:2])
            found.append(path)
            found += [place for place in (own, room) if (root / place).exists()][:1]
    return sorted({path.as_posix() for path in found})


if __name__ == "__main__":
    print(*mirrored(changed()))
