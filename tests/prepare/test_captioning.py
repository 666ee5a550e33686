"""From a captioner's answers to captions.jsonl: the stand-in, and a fake model."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from reidlib.data.captions import Captions, captions_of, read_captions
from reidlib.data.samples import Sample
from reidlib.pedestrians import Shot, draw
from reidlib.prepare import captioning
from reidlib.prepare.captioning import PROMPTS, folder_above, write_captions


def drawn(root: Path, count: int = 5) -> list[Sample]:
    """Drawn queries and gallery images with their captions above them."""
    samples, lines = [], []
    for camid in range(count):
        drawing = draw(Shot("plaza", "query", 301, camid, 0))
        name = f"{'query' if camid % 2 else 'gallery/deep'}/{camid}.jpg"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        drawing.image.save(root / name)
        row = {"image": name, "person": drawing.person}
        lines.append(json.dumps(row | {"background": drawing.background}) + "\n")
        samples.append(Sample(root / name, 301, camid))
    (root / "captions.jsonl").write_text("".join(lines))
    return samples


def test_the_stand_in_says_what_the_drawing_says(tmp_path):
    samples = drawn(tmp_path / "data")
    captioner = captioning.load_captioner("stand-in", "cpu", max_new_tokens=1)
    out = tmp_path / "out"
    assert write_captions(samples, captioner, out, batch_size=2) == 5
    true, found = captions_of(samples), read_captions(out)
    above = folder_above(samples)
    assert above == tmp_path / "data"
    for sample in samples:
        assert found[out / sample.path.relative_to(above)] == true[sample.path]
    assert write_captions(samples, captioner, out, batch_size=2) == 0


def test_captions_made_beside_the_images_are_those_that_are_read(tmp_path):
    samples = drawn(tmp_path)
    (tmp_path / "captions.jsonl").unlink()

    def captioner(pictures, prompt):
        return [f" {Path(p.filename).stem}\n\n {len(prompt)}  " for p in pictures]

    assert write_captions(samples, captioner, tmp_path, batch_size=3) == 5
    found = captions_of(samples)
    lengths = [len(prompt) for prompt in PROMPTS]
    assert found[samples[3].path] == Captions(*(f"3 {length}" for length in lengths))


def test_an_interrupted_run_goes_on_after_its_last_whole_line(tmp_path):
    samples, out = drawn(tmp_path / "data"), tmp_path / "out"
    asked = []

    def captioner(pictures, prompt):
        asked.append(len(pictures))
        if len(asked) > 2:
            raise RuntimeError("the power went out")
        return captioning.stand_in(pictures, prompt)

    with pytest.raises(RuntimeError, match="power"):
        write_captions([*samples, *samples], captioner, out, batch_size=2)
    file = out / "captions.jsonl"
    assert len(file.read_text().splitlines()) == 2
    with file.open("a") as lines:
        lines.write('{"image": "query/1.jpg", "per')
    assert write_captions(samples, captioning.stand_in, out, batch_size=2) == 3
    assert len(read_captions(out)) == len(file.read_text().splitlines()) == 5
    assert not list(out.glob(".*"))


def test_a_last_line_that_is_whole_stays_and_a_foreign_file_as_it_is(tmp_path):
    samples, out = drawn(tmp_path / "data", count=2), tmp_path / "out"
    file = out / "captions.jsonl"
    out.mkdir()
    line = '{"image": "query/1.jpg", "person": "mine", "background": "mine too"}'
    file.write_text(line)
    assert write_captions(samples, captioning.stand_in, out, batch_size=2) == 1
    assert file.read_text().startswith(line + "\n")
    assert read_captions(out)[out / "query/1.jpg"] == Captions("mine", "mine too")
    file.write_bytes(content := f"{line}\n".encode("utf-16"))
    with pytest.raises(ValueError, match="UTF-16: save it as UTF-8"):
        write_captions(samples, captioning.stand_in, out, batch_size=2)
    assert file.read_bytes() == content


def test_an_image_without_an_answer_is_asked_again(tmp_path):
    samples, out = drawn(tmp_path / "data", count=2), tmp_path / "out"

    def silent(pictures, prompt):
        return [" " if "1.jpg" in p.filename else "words" for p in pictures]

    assert write_captions(samples, silent, out, batch_size=2) == 1
    assert write_captions(samples, captioning.stand_in, out, batch_size=2) == 1


def test_a_model_is_asked_as_the_paper_asks(monkeypatch):
    calls = []

    def pipeline(task, **options):
        calls.append((task, options))

        def answer(text, **settings):
            calls.append((text, settings))
            return [[{"generated_text": f"answer {i}"}] for i in range(len(text))]

        return answer

    library = SimpleNamespace(pipeline=pipeline)
    monkeypatch.setitem(sys.modules, "transformers", library)
    captioner = captioning.load_captioner("some/llava", "cpu", max_new_tokens=90)
    pictures = [Image.new("RGB", (8, 16)) for _ in range(2)]
    assert captioner(pictures, PROMPTS.person) == ["answer 0", "answer 1"]
    (task, options), (chats, settings) = calls
    assert task == "image-text-to-text" and options["model"] == "some/llava"
    assert settings["generate_kwargs"] == {"max_new_tokens": 90, "do_sample": False}
    ((message,), _) = chats
    image, text = message["content"]
    assert image["image"] is pictures[0] and text["text"] == PROMPTS.person


def test_without_transformers_one_is_told_what_else_there_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"the baseline of fba\.ipynb"):
        captioning.load_captioner("some/llava", "cpu", max_new_tokens=1)
