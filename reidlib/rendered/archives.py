"""The rendered sets as they are shipped: an archive for each, unpacked on first use.

<archives>/<set>.zip        images, details, scenes, captions.jsonl, about.json
<archives>/SHA256SUMS       a line for each archive, as sha256sum writes and checks them

Part masks follow from the details, and images that a set shares with the first one of
its world are in that one's archive only.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from reidlib.checks import unknown
from reidlib.files import alone, write_text, written_whole
from reidlib.reading import shown
from reidlib.rendered.cameras import NUM_CAMERAS
from reidlib.rendered.shot import HEIGHT
from reidlib.rendered.truth import parts
from reidlib.rendered.worlds import RECIPES, Entry, about, about_in, entries

ARCHIVES = Path(__file__).parents[1] / "assets" / "rendered"
SUMS, CAPTIONS, ABOUT = "SHA256SUMS", "captions.jsonl", "about.json"
UNIX, MODE = 3, 0o644
RESTORE = "restore it, from the repository or by installing again"


def is_shipped(name: str, archives: Path = ARCHIVES) -> bool:
    """Whether there is an archive of a set."""
    return name in _sums(archives)


def ensure_world(name: str, root: Path, archives: Path = ARCHIVES) -> Path:
    """Unpack the set `name` into the folder `root`, unless it is there already.

    One that was rendered at another height is there; one of another version is
    replaced. Who wants it at the same time waits. Raises FileExistsError where `root`
    holds anything else, ValueError for a damaged archive, FileNotFoundError for a set
    that is not shipped.
    """
    if _is_current(name, root):
        return root
    _refuse_what_is_there(name, root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with alone(root.with_name(f".{root.name}.lock")):
        if not _is_current(name, root):
            _unpack_into(root, name, archives)
    return root


def _is_current(name: str, root: Path) -> bool:
    there = about_in(root) or {}
    return there == about(name, there.get("height", HEIGHT))


def _refuse_what_is_there(name: str, root: Path) -> None:
    there = about_in(root) or {}
    if root.exists() and any(root.iterdir()) and not _was_unpacked(there):
        raise FileExistsError(
            f"{shown(root)} is there, but is not {name} of this version: move it away"
        )


def _unpack_into(root: Path, name: str, archives: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _unpack(name, scratch / "new", archives)
        _move(name, scratch / "new", root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _was_unpacked(there: Mapping[str, object]) -> bool:
    """Whether a folder of another version can be had again from an archive."""
    return there.get("kind") == "rendered" and there.get("height") == HEIGHT


def _move(name: str, new: Path, root: Path) -> None:
    """Rename into place; a set that another process unpacked meanwhile stays."""
    if _is_current(name, root):
        return
    if root.exists():
        root.replace(new.with_name("old"))
    try:
        new.replace(root)
    except OSError:
        if not _is_current(name, root):
            raise


def shipped_picture(name: str, place: str, archives: Path = ARCHIVES) -> Image.Image:
    """One image of a shipped set; `place` is below its root.

    Raises ValueError for an image that is not in the set.
    """
    for holder, own in _by_holder(name).items():
        if place in {entry.name for entry in own}:
            with _opened(holder, archives) as archive:
                return Image.open(BytesIO(archive.read(place))).convert("RGB")
    raise ValueError(f"rendered set {name!r} has no image {place!r}")


def pack(name: str, root: Path, archives: Path = ARCHIVES) -> Path:
    """Write the archive of a set that was rendered into `root`, and its checksum.

    The same folder gives the same bytes. Raises ValueError for a folder that does not
    hold the set, as this version renders it, with part masks that its details give.
    """
    if about_in(root) != about(name):
        raise ValueError(f"{shown(root)} does not hold {name} of this version")
    own = _by_holder(name)[name]
    rows = _rows((root / CAPTIONS).read_text("utf-8"))
    texts = {
        ABOUT: (root / ABOUT).read_text("utf-8"),
        CAPTIONS: _joined(rows, own),
    }
    archives.mkdir(parents=True, exist_ok=True)
    path = archives / f"{name}.zip"
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for place, text in texts.items():
            archive.writestr(_member(place, zipfile.ZIP_LZMA), text)
        for place in _scenes(name):
            archive.writestr(_member(place), (root / place).read_bytes())
        for entry in tqdm(own, desc=f"packing {name}", unit="image", leave=False):
            details = (root / _details(entry)).read_bytes()
            if (
                _part_mask(details) != np.asarray(Image.open(root / _mask(entry)))
            ).any():
                raise ValueError(
                    f"{shown(root / _mask(entry))} is not what its details give"
                )
            archive.writestr(_member(entry.name), (root / entry.name).read_bytes())
            archive.writestr(_member(_details(entry)), details)
    sums = _sums(archives) | {name: hashlib.sha256(path.read_bytes()).hexdigest()}
    lines = (f"{digest}  {each}.zip\n" for each, digest in sorted(sums.items()))
    write_text(archives / SUMS, "".join(lines))
    return path


def _unpack(name: str, root: Path, archives: Path) -> None:
    holders = _by_holder(name)
    rows: dict[str, str] = {}
    with tqdm(desc=f"unpacking {name}", unit="image", leave=False) as bar:
        bar.total = sum(map(len, holders.values()))
        for holder, own in holders.items():
            with _opened(holder, archives) as archive:
                _refuse_other_version(archive, holder)
                known = _rows(archive.read(CAPTIONS).decode())
                rows |= {entry.name: known[entry.name] for entry in own}
                for place in _scenes(holder):
                    _write(root / place, archive.read(place))
                for entry in own:
                    _unpack_image(archive, entry, root)
                    bar.update()
    _write(root / CAPTIONS, _joined(rows, entries(RECIPES[name])).encode())
    _write(root / ABOUT, f"{json.dumps(about(name), indent=2)}\n".encode())


def _refuse_other_version(archive: zipfile.ZipFile, name: str) -> None:
    if json.loads(archive.read(ABOUT)) != about(name):
        raise ValueError(f"{shown(archive.filename)} is not {name} of this version")


def _unpack_image(archive: zipfile.ZipFile, entry: Entry, root: Path) -> None:
    details, mask = archive.read(_details(entry)), BytesIO()
    Image.fromarray(_part_mask(details)).save(mask, "PNG", optimize=True)
    _write(root / entry.name, archive.read(entry.name))
    _write(root / _details(entry), details)
    _write(root / _mask(entry), mask.getvalue())


def _by_holder(name: str) -> dict[str, list[Entry]]:
    """The images of a set by the set whose archive has them.

    That is the first set of its world, or else its own. Raises ValueError for an
    unknown name.
    """
    if name not in RECIPES:
        raise ValueError(unknown("rendered set", name, RECIPES))
    first = next(each for each in RECIPES if RECIPES[each].world == RECIPES[name].world)
    shared = set(entries(RECIPES[first]))
    found: dict[str, list[Entry]] = {first: [], name: []}
    for entry in entries(RECIPES[name]):
        found[first if entry in shared else name].append(entry)
    return found


def _scenes(name: str) -> list[str]:
    """The pictures of empty places that an archive has: the first's of its world."""
    is_first = list(_by_holder(name)) == [name]
    return [f"scenes/c{n + 1}.jpg" for n in range(NUM_CAMERAS)] if is_first else []


def _rows(text: str) -> dict[str, str]:
    """Lines of captions by image."""
    return {json.loads(line)["image"]: line for line in text.splitlines()}


def _joined(rows: Mapping[str, str], listed: Iterable[Entry]) -> str:
    return "".join(f"{rows[entry.name]}\n" for entry in listed)


def _details(entry: Entry) -> str:
    return f"details/{entry.name.removesuffix('.jpg')}.png"


def _mask(entry: Entry) -> str:
    return f"masks/{entry.name.removesuffix('.jpg')}.png"


def _part_mask(details: bytes) -> NDArray[np.uint8]:
    """The part mask of a detail mask in PNG."""
    return parts(np.asarray(Image.open(BytesIO(details))))


def _member(place: str, compression: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """A file of an archive, without the time and the system it was made on."""
    member = zipfile.ZipInfo(place)  # of the year 1980
    member.create_system, member.external_attr = UNIX, MODE << 16
    member.compress_type = compression
    return member


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@contextmanager
def _opened(name: str, archives: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose bytes are those that were shipped."""
    path, sums = archives / f"{name}.zip", _sums(archives)
    if name not in sums or not path.is_file():
        raise FileNotFoundError(f"{shown(path)} is missing: {RESTORE}")
    stat = path.stat()
    if _digest(path, stat.st_size, stat.st_mtime_ns) != sums[name]:
        raise ValueError(
            f"{shown(path)} is damaged, its checksum is not that of {SUMS}: {RESTORE}"
        )
    with zipfile.ZipFile(path) as archive:
        yield archive


@cache
def _digest(path: Path, size: int, time: int) -> str:
    """The checksum of a file, read once as long as it stays the same."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sums(archives: Path) -> dict[str, str]:
    """The checksums of all archives by set; none where there is no list."""
    try:
        lines = (archives / SUMS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split(maxsplit=1) for line in lines)
    return {file.removesuffix(".zip"): digest for digest, file in pairs}
