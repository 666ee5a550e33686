"""The rendered sets as files in Market-1501's layout, with masks and captions beside.

<root>/bounding_box_train|query|bounding_box_test/0001_c1s1_000000_00.jpg
<root>/masks/<the same>.png        part mask, labels of Part
<root>/details/<the same>.png      what is worn, carried and in front, labels of Detail
<root>/scenes/c1.jpg               what each camera sees when nobody is there
<root>/captions.jsonl              one line per image: captions, view, attributes
<root>/about.json                  what was rendered, by which version and cameras

Rendering takes its time, so it goes on where it was stopped: images gather in
<root>.part, each whole or not at all, and the folder is renamed when all are there.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from reidlib.rendered import extra
from reidlib.rendered.cameras import NUM_CAMERAS
from reidlib.rendered.rendering import empty_place, render
from reidlib.rendered.shot import HEIGHT
from reidlib.rendered.worlds import (
    FOLDERS,
    RECIPES,
    Entry,
    about,
    about_in,
    entries,
    siblings,
)

JPEG_QUALITY = 85
BATCH = 24  # images that a process renders before it reports


def write_world(
    name: str, root: Path, *, height: int = HEIGHT, workers: int | None = None
) -> Path:
    """Render the set `name` into the folder `root`; what is there already stays.

    The bytes do not depend on `workers` (processes; None for one a core) nor on how
    often the writing was stopped. Images that the set shares with another of its world
    in a folder beside `root` are copied. Raises ValueError for an unknown name or
    height, and FileExistsError when `root` holds anything else.
    """
    wanted = about(name, height)
    if height % 2 or height < HEIGHT:
        raise ValueError(
            f"height is {height}: give an even number of pixels from {HEIGHT} on"
        )
    if about_in(root) == wanted:
        return root
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(
            f"{root} is there, but is not {name} of this version and height: move it"
            " away, or render elsewhere"
        )
    part = _started(root.with_name(f"{root.name}.part"), wanted)
    lines = part / "lines"
    todo = [e for e in entries(RECIPES[name]) if not _line(lines, e).exists()]
    beside = _beside(name, root, height)
    todo = [entry for entry in todo if not _copied(entry, part, beside)]
    if todo:
        extra.require()
        _write_scenes(RECIPES[name].world, part)
    _render_all(todo, part, height, workers or os.cpu_count() or 1, name)
    _finish(name, part, root)
    return root


def _started(part: Path, wanted: dict[str, Any]) -> Path:
    """The folder in which images gather, emptied if it is another version's."""
    begun = part / "begun.json"
    try:
        same = json.loads(begun.read_text("utf-8")) == wanted
    except (OSError, ValueError):
        same = False
    if not same:
        shutil.rmtree(part, ignore_errors=True)
    for kind in (".", "masks", "details", "lines"):
        for folder in FOLDERS:
            (part / kind / folder).mkdir(parents=True, exist_ok=True)
    if not same:
        _write(begun, json.dumps(wanted).encode())
    return part


def _line(lines: Path, entry: Entry) -> Path:
    """The file of an image's line of captions, which is written last."""
    return (lines / entry.name).with_suffix(".json")


def _places(root: Path, entry: Entry) -> tuple[Path, Path, Path]:
    """Image, part mask and detail mask."""
    masks = (root / kind / entry.name for kind in ("masks", "details"))
    mask, details = (path.with_suffix(".png") for path in masks)
    return root / entry.name, mask, details


def _beside(name: str, root: Path, height: int) -> dict[Entry, tuple[Path, str]]:
    """Images of finished sets of the same world: their folder and line of captions."""
    found: dict[Entry, tuple[Path, str]] = {}
    for other in siblings(name):
        folder = root.parent / other
        if about_in(folder) == about(other, height):
            rows = (folder / "captions.jsonl").read_text("utf-8").splitlines()
            pairs = zip(entries(RECIPES[other]), rows, strict=True)
            found |= {entry: (folder, row) for entry, row in pairs}
    return found


def _copied(entry: Entry, part: Path, beside: dict[Entry, tuple[Path, str]]) -> bool:
    """Whether another set has this very image, which is then copied."""
    if entry not in beside:
        return False
    folder, row = beside[entry]
    for source, target in zip(
        _places(folder, entry), _places(part, entry), strict=True
    ):
        _write(target, source.read_bytes())
    _write(_line(part / "lines", entry), row.encode())
    return True


def _render_all(
    todo: list[Entry], part: Path, height: int, workers: int, name: str
) -> None:
    batches = [todo[start : start + BATCH] for start in range(0, len(todo), BATCH)]
    work = partial(_render_batch, part, height)
    with tqdm(total=len(todo), desc=f"rendering {name}", unit="image") as bar:
        for done in _spread(work, batches, workers):
            bar.update(done)


def _spread(
    work: Callable[[list[Entry]], int], batches: list[list[Entry]], workers: int
) -> Iterator[int]:
    """Results of the batches as they come, from processes where there are several."""
    if min(workers, len(batches)) <= 1:
        yield from map(work, batches)
        return
    spawn = get_context("spawn")  # a fork would copy the locks of torch's threads
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        futures = [pool.submit(work, batch) for batch in batches]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _render_batch(part: Path, height: int, batch: list[Entry]) -> int:
    for entry in batch:
        rendering = render(entry.shot, height)
        image, mask, details = _places(part, entry)
        _write(
            image,
            _encoded(rendering.image, "JPEG", quality=JPEG_QUALITY, optimize=True),
        )
        _write(mask, _encoded(rendering.mask, "PNG", optimize=True))
        _write(details, _encoded(rendering.details, "PNG", optimize=True))
        row = {
            "image": entry.name,
            "person": rendering.person,
            "background": rendering.background,
            **rendering.facts,
        }
        _write(_line(part / "lines", entry), json.dumps(row).encode())
    return len(batch)


def _write_scenes(world: str, root: Path) -> None:
    (root / "scenes").mkdir(exist_ok=True)
    for camid in range(NUM_CAMERAS):
        image = _encoded(empty_place(world, camid), "JPEG", quality=JPEG_QUALITY)
        _write(root / "scenes" / f"c{camid + 1}.jpg", image)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with _scratch(path) as scratch:
        scratch.write_bytes(content)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A name to write to, which is renamed to `path` afterwards."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _finish(name: str, part: Path, root: Path) -> None:
    """Gather the captions, say what it is, and rename the folder into place."""
    rows = [
        _line(part / "lines", entry).read_text("utf-8")
        for entry in entries(RECIPES[name])
    ]
    _write(part / "captions.jsonl", ("\n".join(rows) + "\n").encode())
    shutil.rmtree(part / "lines")
    for scratch in part.rglob(".*"):
        scratch.unlink()  # of a process that was killed
    begun = part / "begun.json"
    said = json.dumps(json.loads(begun.read_text("utf-8")), indent=2)
    _write(part / "about.json", f"{said}\n".encode())
    begun.unlink()
    if root.exists():
        root.rmdir()  # it is empty
    part.replace(root)
