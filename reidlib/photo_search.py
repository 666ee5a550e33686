"""Search among pictures in plain folders: each is embedded once, then all are ranked.

    gallery = embed_pictures(embedder, find_pictures(folder).paths, cache=out)
    ranked(embedder, query, gallery, count=10)

What cannot be used is named and left out. Embeddings are kept by what a file holds, so
that a picture which was moved or renamed is not embedded again.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from reidlib.data.captions import Captions, captions_of
from reidlib.data.image_cache import READ_AS
from reidlib.data.pictures import PictureError, read_picture
from reidlib.data.samples import Sample
from reidlib.embedder import Embedder
from reidlib.evaluation.metrics import Features, checked_distances, take
from reidlib.reading import shown
from reidlib.weights import read_checkpoint, write_tensors

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
CHUNK = 64  # queries that are compared with the whole gallery at a time
DIGESTS, DIGEST = "digests", hashlib.sha256().digest_size
ANY_CAPTIONS = ("a person", "a street")
COLUMNS = ["query", "rank", "gallery", "distance"]


class Found(NamedTuple):
    """What a folder holds."""

    paths: tuple[Path, ...]  # pictures by their names, sorted
    left_out: tuple[str, ...]  # what is not looked at, in words


class Embedded(NamedTuple):
    """Pictures that could be read, and their embeddings in that order."""

    paths: tuple[Path, ...]
    embeddings: Features
    left_out: tuple[str, ...]  # a line for each that could not


def find_pictures(place: Path) -> Found:
    """The pictures below a folder by the ends of their names; a file is itself.

    Hidden files and folders are left out, and links to folders are not followed.
    Raises FileNotFoundError for a place that is not there.
    """
    if place.is_file():
        return Found((place,), ())
    if not place.is_dir():
        raise FileNotFoundError(f"{shown(place)} is neither a picture nor a folder")
    paths, others = [], []
    for folder, inner, names in os.walk(place):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        known = [Path(folder, name) for name in names if not name.startswith(".")]
        is_picture = [path.suffix.lower() in SUFFIXES for path in known]
        paths += [p for p, ours in zip(known, is_picture, strict=True) if ours]
        others += [p for p, ours in zip(known, is_picture, strict=True) if not ours]
    ends = sorted({path.suffix.lower() or "no suffix" for path in others})
    said = f"files below {shown(place)} that are no pictures by their names"
    left_out = (f"{said}: {len(others)} ({shown(', '.join(ends))})",) if others else ()
    return Found(tuple(sorted(paths)), left_out)


def embed_pictures(
    embedder: Embedder, paths: Sequence[Path], *, cache: Path | None = None
) -> Embedded:
    """Embed pictures by batches; those that cannot be read are named and left out.

    cache   a folder where embeddings are kept, by the content of the files, also when
            this is interrupted
    A model that reads captions gets those of the nearest captions.jsonl above each.
    Raises FileNotFoundError or ValueError where it is missing, and ValueError where no
    picture can be read.
    """
    texts = _captions(embedder, paths)
    digests, left_out = _digests(paths, texts)
    kept = _Kept(embedder, cache)
    new = {
        digest: path for path, digest in digests.items() if digest not in kept.places
    }
    left_out |= kept.embed(new, texts)
    readable = {p: d for p, d in digests.items() if d in kept.places}
    for path in digests.keys() - readable.keys() - left_out.keys():
        left_out[path] = f"{shown(path)} is a copy of one that cannot be read"
    if not readable:
        reasons = "".join(f"\n  {line}" for line in left_out.values())
        raise ValueError(f"there is no picture that can be read{reasons}")
    found = kept.of(readable.values())
    return Embedded(tuple(readable), found, tuple(left_out.values()))


def ranked(
    embedder: Embedder, query: Embedded, gallery: Embedded, *, count: int
) -> pd.DataFrame:
    """The `count` nearest pictures of each query, a row each, nearest first.

    Columns query and gallery (paths), rank from 1, distance. A query is not found as
    itself: the gallery's picture of the same path is left out of its list. Equal
    distances are ranked by the gallery's order.
    """
    if count < 1:
        raise ValueError(f"count is {count}, but must be at least 1")
    places = {path.resolve(): place for place, path in enumerate(gallery.paths)}
    rows = []
    for start in range(0, len(query.paths), CHUNK):
        some = query.paths[start : start + CHUNK]
        chunk = take(query.embeddings, slice(start, start + len(some)))
        distances = embedder.distances(chunk, gallery.embeddings)
        distances = checked_distances(distances, (len(some), len(gallery.paths)), start)
        for path, measured in zip(some, distances.cpu(), strict=True):
            itself = places.get(path.resolve())
            rows += _nearest(path, gallery.paths, measured, itself, count)
    return pd.DataFrame(rows, columns=COLUMNS)


def _nearest(
    query: Path,
    gallery: Sequence[Path],
    distances: Tensor,
    itself: int | None,
    count: int,
) -> Iterator[tuple[Path, int, Path, float]]:
    order = [p for p in distances.argsort(stable=True).tolist() if p != itself]
    for rank, place in enumerate(order[:count], 1):
        yield query, rank, gallery[place], float(distances[place])


def _captions(embedder: Embedder, paths: Iterable[Path]) -> Mapping[Path, Captions]:
    if not embedder.reads_captions:
        return {}
    return captions_of(Sample(path, 0, 0) for path in paths)


def _digests(
    paths: Iterable[Path], texts: Mapping[Path, Captions]
) -> tuple[dict[Path, bytes], dict[Path, str]]:
    """What each picture's file and captions hold, in a digest; and what is wrong."""
    digests, faults = {}, {}
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            faults[path] = f"{shown(path)} cannot be read ({error.strerror})"
            continue
        words = "\0".join(texts[path]) if texts else ""
        digests[path] = hashlib.sha256(
            hashlib.sha256(content).digest() + words.encode()
        ).digest()
    return digests, faults


class _Kept:
    """Embeddings by the digest of their pictures, and the file that keeps them."""

    def __init__(self, embedder: Embedder, folder: Path | None) -> None:
        self.embedder = embedder
        blank = torch.zeros(1, 3, *embedder.image_size)
        captions = [ANY_CAPTIONS] if embedder.reads_captions else None
        self.example = embedder.embed(blank, captions)  # how many tensors, what shapes
        single = isinstance(self.example, Tensor)
        self.parts = [[] for _ in ((0,) if single else self.example)]
        self.places: dict[bytes, int] = {}
        self.file = folder and folder / f"embeddings-{_name(embedder)}.safetensors"
        if self.file and self.file.is_file():
            self._read()

    def _read(self) -> None:
        try:
            stored = read_checkpoint(self.file)
            digests = [row.tobytes() for row in stored.pop(DIGESTS).numpy()]
            tensors = [stored[str(place)] for place in range(len(self.parts))]
        except (ValueError, KeyError):  # damaged: all is embedded again
            return
        if all(len(tensor) == len(digests) for tensor in tensors):
            self._add(digests, tensors)

    def _add(self, digests: Sequence[bytes], tensors: Sequence[Tensor]) -> None:
        for digest in digests:
            self.places[digest] = len(self.places)
        for part, tensor in zip(self.parts, tensors, strict=True):
            part.append(tensor.cpu())

    def embed(
        self, new: Mapping[bytes, Path], texts: Mapping[Path, Captions]
    ) -> dict[Path, str]:
        """Embed pictures that are not kept yet; return what is wrong with some."""
        faults: dict[Path, str] = {}
        size = self.embedder.settings["batch_size"]
        items = list(new.items())
        try:
            for start in tqdm(
                range(0, len(items), size), desc="embedding", unit="batch", leave=False
            ):
                self._embed_batch(items[start : start + size], texts, faults)
        finally:
            if new and self.file:
                self._write()
        return faults

    def _embed_batch(
        self,
        items: Sequence[tuple[bytes, Path]],
        texts: Mapping[Path, Captions],
        faults: dict[Path, str],
    ) -> None:
        digests, images, captions = [], [], []
        for digest, path in items:
            try:
                images.append(self.embedder.transform(read_picture(path)))
            except PictureError as error:
                faults[path] = str(error)
                continue
            digests.append(digest)
            captions.append(texts.get(path, ANY_CAPTIONS))
        if images:
            words = captions if self.embedder.reads_captions else None
            found = self.embedder.embed(torch.stack(images), words)
            single = isinstance(found, Tensor)
            self._add(digests, [found] if single else list(found))

    def _write(self) -> None:
        if not self.places:
            return
        rows = np.frombuffer(b"".join(self.places), np.uint8).reshape(-1, DIGEST)
        tensors = {str(place): torch.cat(part) for place, part in enumerate(self.parts)}
        write_tensors({DIGESTS: torch.from_numpy(rows.copy()), **tensors}, self.file)

    def of(self, digests: Iterable[bytes]) -> Features:
        """The embeddings of pictures, on the model's device."""
        rows = torch.tensor([self.places[digest] for digest in digests])
        found = [torch.cat(part)[rows].to(self.embedder.device) for part in self.parts]
        if isinstance(self.example, Tensor):
            return found[0]
        return type(self.example)(*found)


def _name(embedder: Embedder) -> str:
    """A name for all that an embedding depends on besides the picture."""
    known = ("model", "pictures", "flip_average", "captions", "weights")
    used = {name: embedder.settings[name] for name in known}
    text = json.dumps([used, READ_AS], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
