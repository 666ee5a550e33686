"""The commands `reid data`: check, tree and fixture."""

import re

import pytest

from reidlib import benchmarks as readers
from reidrun.cli import main as cli
from reidrun.runs.environment import ROOT


@pytest.fixture
def reid(tmp_path, capsys):
    def reid(*arguments):
        code = cli.main([str(a) for a in arguments], tmp_path)
        return code, *capsys.readouterr()

    return reid


def test_a_folder_is_drawn_in_and_checked(reid, tmp_path):
    folder = tmp_path / "Partial_iLIDS"
    code, out, err = reid("data", "fixture", "partial_ilids", folder)
    drawn = "drawn pedestrians in the layout of Partial-iLIDS"
    assert code == 0 and out.count("\n") == 1
    assert f"Partial_iLIDS: {drawn}; train, query, gallery: 0, 6, 6 images" in out
    code, out, err = reid("data", "check", "partial_ilids", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith(f"{drawn}\n")
    assert re.search(r"query +images +6 +6 +ok", out)


def test_a_mismatch_is_exit_1_with_both_numbers(reid, tmp_path):
    reid("data", "fixture", "partial_ilids", tmp_path)
    (tmp_path / "whole_body_images" / "003.jpg").unlink()
    code, out, err = reid("data", "check", "partial_ilids", tmp_path)
    assert code == 1
    assert re.search(r"gallery +images +5 +6 +differs", out)
    assert "reid: gallery: 5 images, but 6 are expected" in err.splitlines()
    assert all(line.startswith("reid: ") for line in err.splitlines())


def test_what_cannot_be_read_or_drawn_is_exit_1(reid, tmp_path):
    code, out, err = reid("data", "check", "market1501", tmp_path / "nowhere")
    assert (code, out) == (1, "")
    assert "nowhere" in err and "bounding_box_train/0002_c1s1" in err
    (tmp_path / "mine.txt").touch()
    code, out, err = reid("data", "fixture", "market1501", tmp_path)
    assert (code, out) == (1, "") and "holds what was not drawn" in err


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("concourse", "concourse is shipped as an archive and unpacked on first use"),
        ("plaza", "plaza is drawn on first use"),
    ],
)
def test_a_set_that_is_made_here_says_how_it_comes_to_be(reid, tmp_path, name, made):
    for folder in (tmp_path / "new" / name, tmp_path / "new"):
        code, out, err = reid("data", "check", name, folder)
        assert (code, out) == (1, "")
        command = f"`reid run baseline --on {name} --data {tmp_path / 'new'}`"
        assert err == f"reid: {folder} is no folder: {made}, as by {command}\n"
    code, _, err = reid("data", "check", name, tmp_path)
    assert code == 1 and f": {made}, as by `reid run baseline --on {name}" in err
    assert not list(tmp_path.iterdir())


def test_a_set_that_is_rendered_and_not_shipped_says_how_it_is_made(
    reid, tmp_path, monkeypatch
):
    monkeypatch.setattr("reidlib.rendered.is_shipped", lambda name: False)
    _, _, err = reid("data", "check", "concourse", tmp_path / "concourse")
    assert "is no folder: concourse is rendered, but not shipped: `reid data ren" in err


@pytest.mark.parametrize("name", readers.BENCHMARKS)
def test_a_tree_names_layout_protocol_and_terms(reid, name):
    code, out, _ = reid("data", "tree", name)
    assert code == 0 and readers.TREES[name] in out
    words = " ".join(out.split())
    assert readers.TERMS[name] in words and readers.PROTOCOLS[name] in words
    assert ("is for testing only" in out) == (name in readers.TRAINED_ON)
    if name in readers.PUBLISHED:
        assert f"{readers.PUBLISHED[name].gallery.images:,} images" in out
    assert ("Nothing is downloaded" in out) == (name in readers.PUBLISHED)
    assert not re.search(r"://|www\.|\bhttp", out), "no link"
    assert all(len(line) <= 88 for line in out.splitlines())


def test_the_terms_are_those_of_the_document():
    text = (ROOT / "DATASETS.md").read_text().replace("**", "").replace("`", "")
    words = " ".join(text.split())
    for name in readers.PUBLISHED:
        for sentence in readers.TERMS[name].split(". "):
            assert sentence.rstrip(".") in words, f"{name}: {sentence}"


def test_the_document_has_the_published_counts():
    rows = (ROOT / "DATASETS.md").read_text().splitlines()
    for name, tally in readers.PUBLISHED.items():
        (row,) = [row for row in rows if f"| `{name}` |" in row]
        for split in tally[:3]:
            if split.images:
                assert f"{split.identities:,} / {split.images:,}" in row, name


def test_names_of_files_cannot_forge_our_lines(reid, tmp_path):
    reid("data", "fixture", "market1501", tmp_path / "market1501")
    query = tmp_path / "market1501" / "query"
    image = next(query.iterdir())
    name = "evil\x1b[2J\x1b]0;owned\x07\nreid: all is well\r.jpg"
    (query / name).write_bytes(image.read_bytes())
    (query / "0001_c1s1_0\x1b[31m.jpg").write_bytes(b"no picture")
    code, out, err = reid("data", "check", "market1501", tmp_path)
    assert code == 1 and all(c.isprintable() or c == "\n" for c in out + err)
    assert r"evil\x1b[2J\x1b]0;owned\x07\nreid: all is well\r.jpg" in err
    assert "reid: all is well" not in err.splitlines()


def test_names_of_runs_cannot_forge_our_lines(reid, tmp_path):
    folder = tmp_path / "outputs" / "plaza" / "fanet" / "\x1b[31mred\nreid: x-s0"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{")
    code, out, err = reid("results", "--outputs", tmp_path / "outputs")
    assert code and all(c.isprintable() or c == "\n" for c in out + err)
    assert r"\x1b[31mred\nreid: x-s0" in err


def test_people_are_rendered_only_where_a_renderer_is(reid, tmp_path, monkeypatch):
    said = ImportError("rendering people needs the extra [render]")

    def write_world(name, folder, *, height):
        assert (name, height) == ("atrium_smoke", 256)
        raise said

    monkeypatch.setattr("reidrun.cli.data.write_world", write_world)
    asked = ("data", "render", "atrium_smoke", tmp_path / "atrium", "--height", "256")
    assert reid(*asked) == (2, "", f"reid: {said}\n")
    code, _, err = reid("data", "render", "concours", tmp_path)
    assert code == 2 and "did you mean concourse?" in err
