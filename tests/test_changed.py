"""`make check` runs the tests of what changed."""

import pytest
from changed import ROOT, changed, mirrored


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "reidlib/losses/triplet.py",
            ["reidlib/losses/triplet.py", "tests/losses/test_triplet.py"],
        ),
        (
            "reidlib/benchmarks/catalog.py",
            ["reidlib/benchmarks/catalog.py", "tests/benchmarks"],
        ),
        ("reidlib/files.py", ["reidlib/files.py", "tests/test_files.py"]),
        (
            "reidrun/runs/plans.py",
            ["reidrun/runs/plans.py", "tests/runs/test_plans.py"],
        ),
        ("tests/runs/test_plans.py", ["tests/runs/test_plans.py"]),
        ("tests/toys/toy_paper.py", []),
        ("notebooks/fanet.ipynb", []),
        ("README.md", []),
    ],
)
def test_a_changed_file_names_its_tests(name, expected):
    assert mirrored([name]) == expected
    assert all((ROOT / place).exists() for place in expected)


def test_a_test_is_named_once_however_much_changed():
    both = ["reidrun/runs/plans.py", "tests/runs/test_plans.py"]
    assert mirrored(both) == sorted(both)


def test_what_is_new_has_changed(tmp_path):
    place = ROOT / "tests" / "toys" / "new_for_a_moment.py"
    try:
        place.touch()
        assert place.relative_to(ROOT).as_posix() in changed()
    finally:
        place.unlink()
