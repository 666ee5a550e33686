"""What a text tower reads of images: token ids of both captions, found by path.

captions.jsonl lies in a folder above the images, with one line for each of them:
{"image": path below that folder, "person": text, "background": text}. Drawn sets have
it; for photographs notebooks/prepare/captions.ipynb makes it.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from open_clip.tokenizer import SimpleTokenizer, tokenize
from torch import Tensor

from reidlib.data.loaders import Batch, TestBatch
from reidlib.data.samples import Sample
from reidlib.reading import json_object, read_lines, reading

FILE = "captions.jsonl"
REMEDY = "notebooks/prepare/captions.ipynb makes what is missing"
CORRECT = "correct it, and keep the other lines"


class Captions(NamedTuple):
    """Two texts of an image: about the person and about the background."""

    person: str
    background: str


def read_captions(root: Path) -> dict[Path, Captions]:
    """Captions by image path, from `captions.jsonl` below a benchmark's root.

    Raises FileNotFoundError for a benchmark without captions, ValueError naming file
    and line for a caption that is no text, and for what is not UTF-8.
    """
    path, found = root / FILE, {}
    for number, line in read_lines(path, CORRECT):
        with reading(path, CORRECT, line=number):
            row = json_object(line)
            texts = Captions(_text(row, "person"), _text(row, "background"))
            found[root / _text(row, "image")] = texts
    return found


def _text(row: Mapping[str, Any], key: str) -> str:
    """What a line says of a key. Raises ValueError where that is no text."""
    if not isinstance(row.get(key), str):
        found = f"{key} is {json.dumps(row[key])[:80]}" if key in row else f"no {key}"
        raise ValueError(f"{found}, where image, person and background are texts")
    row[key].encode()  # JSON can spell halves of letters, which no tokenizer reads
    return row[key]


def captions_of(samples: Iterable[Sample]) -> dict[Path, Captions]:
    """Read the captions of samples, each from the nearest captions.jsonl above it.

    Raises FileNotFoundError where there is none, ValueError for images that are not in
    it or whose captions are empty; all of these are counted, and the first is named.
    """
    known: dict[Path, dict[Path, Captions]] = {}
    found: dict[Path, Captions] = {}
    missing, empty = [], []
    for path in dict.fromkeys(sample.path for sample in samples):
        root = _root_of(path)
        if root not in known:
            known[root] = read_captions(root)
        texts = known[root].get(path)
        if texts is None:
            missing.append((path, root))
        elif not all(text.strip() for text in texts):
            empty.append((path, root))
        else:
            found[path] = texts
    for faulty, fault in ((missing, "no line"), (empty, "an empty caption")):
        if faulty:
            path, root = faulty[0]
            raise ValueError(
                f"{root / FILE} has {fault} for {len(faulty)} images, the first is"
                f" {path}: {REMEDY}"
            )
    return found


def _root_of(path: Path) -> Path:
    for folder in path.parents:
        if (folder / FILE).is_file():
            return folder
    raise FileNotFoundError(f"no {FILE} in any folder above {path}: {REMEDY}")


class CaptionIds:
    """Token ids of captions by image path; called with a batch, the inputs of FBA.

    captions   by path, as `captions_of` reads them
    context    positions of the text tower: what is longer loses its last words, and
               the end of text takes the last position (FBA-13)
    truncated  how many captions lost words       longest  tokens of the longest one
    Ids are kept, at most 616 bytes an image; a text tower's features, 2 x 77 x 512 in
    half precision, would be 256 times that, and save a few percent of a step.
    """

    def __init__(self, captions: Mapping[Path, Captions], context: int) -> None:
        texts = [text for pair in captions.values() for text in pair]
        ids = tokenize(texts, context + 1).int()  # (2 n, context + 1)
        ends = ids.argmax(1)  # the end of text has the largest id
        for text, end in zip(texts, ends.tolist(), strict=True):
            if end < 2:
                raise ValueError(f"the caption {text!r} has no word: {REMEDY}")
        too_long = ends == context
        ids[too_long, context - 1] = ids[too_long, context]
        self.truncated = int(too_long.sum())
        self.longest = min(max(ends.tolist(), default=0) + 1, context)
        self.ids = ids[:, : self.longest].unflatten(0, (-1, 2))  # (n, 2, longest)
        self.rows = {path: row for row, path in enumerate(captions)}

    def of(self, paths: Sequence[Path]) -> Tensor:
        """Return ids (B, 2, L), the person's caption first, L for the longest of them.

        Raises ValueError for an image whose captions were not given.
        """
        for path in paths:
            if path not in self.rows:
                raise ValueError(f"no captions of {path} were read: add its samples")
        ids = self.ids[[self.rows[path] for path in paths]].long()
        return ids[..., : int(ids.argmax(2).max()) + 1]

    def __call__(self, batch: Batch | TestBatch) -> tuple[Tensor, Tensor]:
        """Return images and the ids of their captions, on the images' device."""
        ids = self.of(batch.paths)
        return batch.images, ids.to(batch.images.device, non_blocking=True)

    def of_others(self, samples: Sequence[Sample]) -> Self:
        """The same, but each of these samples has the person's caption of another pid.

        Backgrounds keep their captions. Raises ValueError where one identity has more
        than half of the samples.
        """
        ordered = sorted(samples, key=lambda sample: (sample.pid, sample.path))
        pids = [sample.pid for sample in ordered]
        shift = max(Counter(pids).values())
        if len(ordered) < 2 * shift:
            raise ValueError(
                f"{shift} of {len(ordered)} samples are of one identity: there are not"
                " enough of others to take captions from"
            )
        rows = torch.tensor([self.rows[sample.path] for sample in ordered])
        changed = copy(self)
        changed.ids = self.ids.clone()
        changed.ids[rows, 0] = self.ids[rows.roll(shift), 0]
        return changed

    def of_one(self, samples: Sequence[Sample]) -> Self:
        """The same, but all of these samples have the captions of the first by path."""
        rows = [self.rows[path] for path in sorted(sample.path for sample in samples)]
        changed = copy(self)
        changed.ids = self.ids.clone()
        changed.ids[rows] = self.ids[rows[0]]
        return changed

    def unknown_words(self, known: Collection[int]) -> list[str]:
        """Words of the captions that a text tower has no embedding of its own for.

        known   its ids, as TextTower.known_tokens gives them
        """
        strange = sorted(set(self.ids.unique().tolist()) - set(map(int, known)))
        return words_of(strange)


def words_of(ids: Iterable[int]) -> list[str]:
    """Spell token ids, one word (or piece of a word) for each."""
    spell = _tokenizer().decode
    return [spell([int(i)]).strip() for i in ids]


@cache
def _tokenizer() -> SimpleTokenizer:
    return SimpleTokenizer()
