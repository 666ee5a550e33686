"""Pictures in plain folders: found, embedded once, ranked like a benchmark's."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from toys.notebook_models import model_of

import reidlib
from reidlib import evaluation, photo_search
from reidlib.benchmarks import load_benchmark
from reidlib.data import CaptionIds, captions_of
from reidlib.data.samples import Sample
from reidlib.data.transforms import test_transform as plain_transform
from reidlib.model_files import save_model
from reidlib.models import fba
from reidlib.pedestrians import Shot, draw
from reidlib.photo_search import embed_pictures, find_pictures, ranked


def made(folder: Path, paper: str = "baseline", **options) -> reidlib.Embedder:
    """An embedder of a model that was not trained."""
    model = model_of(paper, "full").eval()
    transform = plain_transform(128, 64, normalisation="half")
    tester = evaluation.Tester(transform, "cpu", 16, **options)
    save_model(folder, model, tester, {"paper": paper, "data": {"kind": "drawn"}})
    return reidlib.load(folder)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> reidlib.Embedder:
    return made(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """200 drawn crops of a benchmark, and their copies in two plain folders."""
    smoke = load_benchmark("smoke", str(tmp_path_factory.mktemp("data")))
    root = tmp_path_factory.mktemp("plain")
    parts = {"who": smoke.query, "where": smoke.gallery}
    copies = {}
    parts["where"] = parts["where"][: 200 - len(smoke.query)]
    for name, samples in parts.items():
        for place, sample in enumerate(samples):
            copy = root / name / f"ä {place % 3}" / f"picture {place:03}.jpg"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copies[shutil.copy(sample.path, copy)] = sample
    return root, copies


def test_rank_1_is_that_of_our_evaluation_without_cameras(embedder, drawn, tmp_path):
    root, copies = drawn
    assert len(copies) == 200
    query, gallery = (
        embed_pictures(embedder, find_pictures(root / name).paths, cache=tmp_path)
        for name in ("who", "where")
    )
    ranking = ranked(embedder, query, gallery, count=200)
    pids = {path: sample.pid for path, sample in copies.items()}
    known = {pids[path] for path in gallery.paths}
    valid = [path for path in query.paths if pids[path] in known]
    best = ranking[ranking["rank"] == 1].set_index("query")["gallery"]
    hits = sum(pids[best[path]] == pids[path] for path in valid)

    def labels(paths, camid):
        who = torch.tensor([max(pids[path], 0) for path in paths])
        return who, torch.full((len(paths),), camid)

    (query_pids, query_camids), (gallery_pids, gallery_camids) = (
        labels(query.paths, 0),
        labels(gallery.paths, 1),
    )
    scores = evaluation.evaluate(
        query.embeddings,
        gallery.embeddings,
        distances=embedder.distances,
        query_pids=query_pids,
        gallery_pids=gallery_pids,
        query_camids=query_camids,
        gallery_camids=gallery_camids,
    )
    assert scores.num_valid == len(valid) > 10
    assert hits / len(valid) == pytest.approx(float(scores.cmc[0]), abs=1e-12)
    assert 0.2 < hits / len(valid) < 1
    every, places = ranking.groupby("query"), list(range(1, len(gallery.paths) + 1))
    assert every["rank"].apply(list).map(lambda r: r == places).all()
    assert every["distance"].apply(lambda d: d.is_monotonic_increasing).all()
    assert every["gallery"].nunique().eq(len(gallery.paths)).all()


def count_embedded(monkeypatch) -> list[int]:
    """The number of pictures of each batch that is embedded from now on."""
    seen, own = [], reidlib.Embedder.embed

    def counting(self, images, *rest, **named):
        seen.append(len(images))
        return own(self, images, *rest, **named)

    monkeypatch.setattr(reidlib.Embedder, "embed", counting)
    return seen


def test_a_picture_is_embedded_once_whatever_it_is_called(
    embedder, drawn, tmp_path, monkeypatch
):
    root, _ = drawn
    paths = find_pictures(root / "who").paths
    first = embed_pictures(embedder, paths, cache=tmp_path / "cache")
    seen = count_embedded(monkeypatch)
    moved = tmp_path / "elsewhere.jpg"
    shutil.copy(paths[5], moved)
    again = embed_pictures(embedder, [moved, *paths], cache=tmp_path / "cache")
    assert seen == [1], "a blank, to know the shapes"
    assert torch.equal(again.embeddings[1:], first.embeddings)
    assert torch.equal(again.embeddings[0], first.embeddings[5])
    Image.new("RGB", (64, 128), "navy").save(moved)
    embed_pictures(embedder, [moved, *paths], cache=tmp_path / "cache")
    assert seen == [1, 1, 1], "the picture that changed"
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"damaged")
    embed_pictures(embedder, paths[:3], cache=tmp_path / "cache")
    assert seen[3:] == [1, 3]


def test_what_was_embedded_before_an_interruption_is_kept(
    embedder, drawn, tmp_path, monkeypatch
):
    root, _ = drawn
    paths = find_pictures(root / "who").paths
    read, own = [], photo_search.read_picture

    def interrupted(path):
        read.append(path)
        if len(read) > 20:
            raise KeyboardInterrupt
        return own(path)

    monkeypatch.setattr(photo_search, "read_picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed_pictures(embedder, paths, cache=tmp_path)
    monkeypatch.setattr(photo_search, "read_picture", own)
    seen = count_embedded(monkeypatch)
    embed_pictures(embedder, paths, cache=tmp_path)
    assert seen[0] == 1, "a blank, to know the shapes"
    assert sum(seen[1:]) == len(paths) - 16, "the batch of 16 before it was kept"


def test_any_picture_is_ranked_and_what_is_none_is_named(embedder, tmp_path):
    folder = tmp_path / "Fotos – März"
    folder.mkdir()
    base = draw(Shot("plaza", "query", 300, 0, 0)).image
    for mode in ("L", "CMYK", "P", "1", "RGBA"):
        base.convert(mode).save(folder / f"{mode}.tif")
    gray = np.asarray(base.convert("L")).astype(np.uint16) * 257
    Image.fromarray(gray).save(folder / "16.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    base.save(folder / "turned.JPG", exif=turned, quality=100, subsampling=0)
    Image.new("RGB", (3000, 20)).save(folder / "wide.webp")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    shutil.copy(folder / "broken.jpg", folder / "broken copy.jpg")
    (folder / "empty.png").touch()
    (folder / "dangling.png").symlink_to("nowhere.png")
    clear = base.convert("RGBA")
    clear.putalpha(100)
    clear.save(folder / "clear.png")
    (folder / ".hidden.jpg").write_bytes(b"")
    (folder / "IMG.HEIC").touch()
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    places = find_pictures(folder)
    found = embed_pictures(embedder, places.paths)
    names = sorted(path.name for path in found.paths)
    usable = ["1.tif", "16.png", "CMYK.tif", "L.tif", "P.tif", "RGBA.tif"]
    assert names == [*usable, "turned.JPG", "wide.webp"]
    assert "no pictures by their names: 1 (.heic)" in places.left_out[0]
    said = "\n".join(sorted(found.left_out))
    for name in ("broken.jpg", "broken copy.jpg", "empty.png", "dangling.png"):
        assert name in said
    assert "clear.png has transparent pixels" in said and len(found.left_out) == 5
    upright = folder / "upright.png"
    base.rotate(-90, expand=True).save(upright)
    pair = embed_pictures(embedder, [folder / "turned.JPG", upright])
    base.save(upright)
    sideways = embed_pictures(embedder, [upright])
    close, far = (
        float(embedder.distances(pair.embeddings[:1], other))
        for other in (pair.embeddings[1:], sideways.embeddings)
    )
    assert close < far / 5, "EXIF turns it"


def test_a_query_is_not_found_as_itself(embedder, drawn):
    root, _ = drawn
    paths = find_pictures(root / "who").paths[:6]
    found = embed_pictures(embedder, paths)
    elsewhere = root / "who" / ".." / "who" / paths[0].relative_to(root / "who")
    query = embed_pictures(embedder, [elsewhere])
    ranking = ranked(embedder, query, found, count=10)
    assert len(ranking) == 5 and paths[0] not in set(ranking["gallery"])
    assert ranked(embedder, query, query, count=10).empty
    with pytest.raises(ValueError, match="count is 0, but must be at least 1"):
        ranked(embedder, query, found, count=0)


def test_places_without_pictures_are_refused(embedder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is neither a picture nor"):
        find_pictures(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no picture that can be read"):
        embed_pictures(embedder, find_pictures(tmp_path).paths)
    broken = tmp_path / "a.jpg"
    broken.write_bytes(b"x")
    with pytest.raises(ValueError, match="(?s)can be read.*a.jpg cannot be decoded"):
        embed_pictures(embedder, [broken])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_named(embedder, drawn, tmp_path):
    root, _ = drawn
    paths = find_pictures(root / "who").paths[:2]
    closed = tmp_path / "closed.jpg"
    shutil.copy(paths[0], closed)
    closed.chmod(0)
    found = embed_pictures(embedder, [closed, *paths])
    assert found.paths == paths and "closed.jpg" in found.left_out[0]


def test_a_model_that_reads_captions_finds_them_above_the_pictures(tmp_path):
    data = load_benchmark("smoke", str(tmp_path / "data"))
    paths = [sample.path for sample in data.query[:3]]
    (tmp_path / "run").mkdir()
    embedder = with_captions(tmp_path / "run", paths)
    found = embed_pictures(embedder, paths, cache=tmp_path / "cache")
    assert type(found.embeddings).__name__ == "Embedding"
    again = embed_pictures(embedder, paths, cache=tmp_path / "cache")
    assert all(map(torch.equal, found.embeddings, again.embeddings))
    assert isinstance(ranked(embedder, found, found, count=2), pd.DataFrame)
    alone = tmp_path / "alone.jpg"
    shutil.copy(paths[0], alone)
    with pytest.raises(FileNotFoundError, match="no captions.jsonl in any folder"):
        embed_pictures(embedder, [alone])


def with_captions(folder: Path, paths: list[Path]) -> reidlib.Embedder:
    known = captions_of(Sample(path, 0, 0) for path in paths)
    inputs = CaptionIds(known, 77)
    return made(folder, "fba", inputs=inputs, distances=fba.distances)
