"""From captions.jsonl to token ids: found by path, cut at the end, refused in words."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import tokenize
from PIL import Image
from toys.small_fba import tiny

from reidlib import evaluation
from reidlib.benchmarks import load_benchmark
from reidlib.data import transforms
from reidlib.data.captions import CaptionIds, Captions, captions_of, words_of
from reidlib.data.loaders import Batch
from reidlib.data.samples import Sample
from reidlib.models.fba import distances
from reidrun.runs.environment import ROOT

START, END = 49406, 49407


def samples_with(root: Path, texts: dict[str, tuple[str, str]]) -> list[Sample]:
    rows = [
        {"image": name, "person": person, "background": background}
        for name, (person, background) in texts.items()
    ]
    root.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "captions.jsonl").write_text(lines)
    return [Sample(root / name, pid, 0) for pid, name in enumerate(texts)]


def test_captions_are_found_from_any_depth_below_their_file(tmp_path):
    texts = {"query/a.jpg": ("a person", "a wall"), "train/7/1/b.jpg": ("b", "c")}
    samples = samples_with(tmp_path / "set", texts)
    other = samples_with(tmp_path / "other", {"a.jpg": ("d", "e")})
    found = captions_of([*samples, *other, *samples])
    assert list(found) == [sample.path for sample in (*samples, *other)]
    assert found[samples[1].path] == Captions("b", "c")
    assert found[other[0].path] == Captions("d", "e")


def test_what_is_missing_or_empty_is_named_with_its_remedy(tmp_path):
    samples = samples_with(tmp_path, {"a.jpg": ("a", "b"), "b.jpg": (" ", "b")})
    with pytest.raises(ValueError) as caught:
        captions_of(samples)
    said = str(caught.value)
    assert "captions.jsonl has an empty caption for 1 images, the first is" in said
    assert str(samples[1].path) in said and "prepare/captions.ipynb makes" in said
    gone = [Sample(tmp_path / name, 1, 0) for name in ("x.jpg", "y.jpg")]
    with pytest.raises(ValueError, match=r"has no line for 2 images, .*x\.jpg: noteb"):
        captions_of([*samples, *gone])
    (tmp_path / "captions.jsonl").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no captions\.jsonl .* above .*a\.jpg"
    ):
        captions_of(samples)


def ids_of(*texts: tuple[str, str], context: int = 77) -> CaptionIds:
    pairs = {Path(f"{i}.jpg"): Captions(*pair) for i, pair in enumerate(texts)}
    return CaptionIds(pairs, context)


def test_ids_are_the_tokenizers_trimmed_to_the_longest_of_the_batch():
    texts = [("a person", "a long wall and a tree"), ("a man in red", "a wall")]
    found = ids_of(*texts)
    assert (found.truncated, found.longest) == (0, 8)
    for places in ([0, 1], [1], [1, 0, 1]):
        ids = found.of([Path(f"{i}.jpg") for i in places])
        expected = torch.stack(
            [tokenize([texts[i][side] for i in places]) for side in (0, 1)], 1
        )
        longest = int((expected == END).int().argmax(2).max()) + 1
        assert torch.equal(ids, expected[..., :longest]) and ids.dtype == torch.long


@given(words=st.integers(1, 12), context=st.integers(3, 8))
def test_long_captions_lose_their_last_words_and_keep_the_end(words, context):
    text = " ".join(["wall"] * words)
    found = ids_of((text, "a"), context=context)
    expected = tokenize([text, "a"], context)
    ids = found.of([Path("0.jpg")])[0]
    assert torch.equal(ids, expected[:, : ids.shape[1]])
    assert ids.shape[1] == found.longest == min(words + 2, context)
    assert found.truncated == int(words + 2 > context)
    assert ids[0, 0] == START and ids[0, -1] == END


def test_a_caption_without_a_word_is_refused():
    with pytest.raises(ValueError, match="the caption '  ' has no word: notebooks"):
        ids_of(("a person", "  "))


def test_a_batch_brings_its_images_and_the_ids_of_its_paths():
    found = ids_of(("a", "b"), ("c", "d"), ("e f", "g"))
    empty = torch.zeros(2)
    batch = Batch(torch.rand(2, 3, 4, 4), empty, empty, (Path("2.jpg"), Path("0.jpg")))
    images, ids = found(batch)
    assert images is batch.images
    assert torch.equal(ids, found.of(batch.paths)) and ids.shape == (2, 2, 4)
    with pytest.raises(ValueError, match=r"no captions of 9\.jpg were read"):
        found(batch._replace(paths=(Path("9.jpg"), Path("0.jpg"))))


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=6), data=st.data())
def test_captions_of_others_are_of_another_person_and_used_once(sizes, data):
    pids = [pid for pid, size in enumerate(sizes) for _ in range(size)]
    order = data.draw(st.permutations(range(len(pids))))
    samples = [Sample(Path(f"{i}.jpg"), pids[i], 0) for i in order]
    own = ids_of(*[(f"person {pid}", f"wall {pid}") for pid in pids])
    if 2 * max(sizes) > len(pids):
        with pytest.raises(ValueError, match="samples are of one identity"):
            own.of_others(samples)
        return
    others = own.of_others(samples)
    spoken = []
    for sample in samples:
        given_ids, before = others.of([sample.path])[0], own.of([sample.path])[0]
        words = words_of(given_ids[0, 1:-1])
        spoken.append(int(words[-1]))
        assert spoken[-1] != sample.pid
        assert torch.equal(given_ids[1], before[1])
    assert sorted(spoken) == sorted(pids)


def test_one_caption_for_all_is_that_of_the_first_by_path():
    own = ids_of(
        ("a long red coat", "a wall"), ("a hat", "a kiosk"), ("a bag", "a car")
    )
    samples = [Sample(Path(f"{i}.jpg"), i, 0) for i in (2, 1)]
    same = own.of_one(samples)
    expected = own.of([Path("1.jpg")])
    for sample in samples:
        assert torch.equal(same.of([sample.path]), expected)
    untouched = same.of([Path("0.jpg")])
    assert torch.equal(untouched, own.of([Path("0.jpg")])), "it is not one of them"
    assert torch.equal(
        own.of([Path("2.jpg")]), ids_of(("a bag", "a car")).ids[:, :, :4]
    )


def test_words_without_an_embedding_are_told():
    found = ids_of(("a red shirt", "a kiosk"))
    known = tokenize(["a red kiosk"]).flatten().tolist()
    assert found.unknown_words(known) == ["shirt"]
    assert found.unknown_words(torch.arange(49408)) == []


def test_a_search_embeds_every_image_with_its_own_captions():
    benchmark = load_benchmark("smoke", ROOT / "data")
    few = [sample for sample in benchmark.gallery if sample.pid == 301]
    benchmark = benchmark._replace(query=benchmark.query[:5], gallery=few)
    ids = CaptionIds(captions_of((*benchmark.query, *benchmark.gallery)), 77)
    model = tiny().eval()
    transform = transforms.test_transform(80, 32, normalisation="half")
    options = {"device": "cpu", "batch_size": 4, "inputs": ids, "distances": distances}
    found = evaluation.Tester(transform, **options).search(model, benchmark)
    chosen = found.query.paths[3:4]
    image = transform(Image.open(chosen[0]).convert("RGB"))[None]
    with torch.no_grad():
        expected = model.embed(image, ids.of(chosen))
    torch.testing.assert_close(
        found.query.embeddings.crossed[3], expected.crossed[0], atol=1e-5, rtol=1e-4
    )
