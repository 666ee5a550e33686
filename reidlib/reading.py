"""Files that somebody else wrote, read in bounded time and memory.

    with reading(path, "copy it again"):
        content = some_parser(path)

Whatever the parser raises becomes one error that names the file, says what is wrong
with it and what to do. FileNotFoundError passes: some files may be absent.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LARGEST = 2**26  # bytes of a text that is read at once
LONGEST = 2**20  # bytes of a line, where a text is read line by line
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
Errors = type[Exception]


def shown(path: Path | str) -> str:
    """A path that can be printed, whatever its bytes are.

    >>> shown(Path("a" + chr(27) + "[2J.jpg"))
    'a\\\\x1b[2J.jpg'
    """
    return _escaped(os.fsencode(path).decode("utf-8", "backslashreplace"))


def printable(text: str) -> str:
    """A text whose lines can be printed: what moves a cursor is spelled out.

    >>> printable("red" + chr(7) + chr(10) + "next")
    'red\\\\x07\\nnext'
    """
    return "\n".join(_escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def reading(
    path: Path, remedy: str, *, line: int = 0, raises: Errors = ValueError
) -> Iterator[None]:
    """Turn what is raised inside into `raises`: the file, what is wrong, the remedy.

    line   of the file, from 1; 0 where it has none
    Refuses beforehand what is no file: a folder, a pipe, which may never end, a link
    that leads to itself. FileNotFoundError passes as it is, and so does an error of the
    kind `raises` that names the file.
    """
    try:
        _refuse_no_file(path)
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # parsers raise many kinds, RecursionError among them
        if isinstance(error, raises) and shown(path.name) in str(error):
            raise
        place = f"{shown(path)}, line {line}" if line else shown(path)
        raise raises(f"{place} cannot be read ({_reason(error)}): {remedy}") from error


def _refuse_no_file(path: Path) -> None:
    mode = path.stat().st_mode
    for test, kind in KINDS.items():
        if test(mode):
            raise ValueError(f"it is {kind}, not a file")


def _reason(error: Exception) -> str:
    """What an error says, in one line and in few words."""
    said = error.strerror if isinstance(error, OSError) else ""
    said = said or next(iter(str(error).splitlines()), "")
    if isinstance(error, RecursionError):
        said = "it is nested too deep"
    return printable(said or type(error).__name__)[:300]


def read_text(path: Path, remedy: str, *, raises: Errors = ValueError) -> str:
    """Read a text in UTF-8, of LARGEST bytes at most, without its byte order mark.

    Raises `raises` for another encoding, naming the line, and for what is no text.
    """
    with reading(path, remedy, raises=raises):
        size = path.stat().st_size
        if size > LARGEST:
            raise ValueError(f"it has {size:,} bytes, more than {LARGEST:,}")
        return _decoded(path.read_bytes())


def read_lines(
    path: Path, remedy: str, *, raises: Errors = ValueError
) -> Iterator[tuple[int, str]]:
    """Read a text line by line, with the number of each from 1, but no empty ones.

    As read_text, but only a line is in memory, which has LONGEST bytes at most.
    """
    with reading(path, remedy, raises=raises):
        file = path.open("rb")
    with file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            with reading(path, remedy, line=number, raises=raises):
                if len(line) == LONGEST:
                    raise ValueError(f"it has more than {LONGEST:,} bytes")
                text = _decoded(line, first=number).strip()
            if text:
                yield number, text


def _decoded(content: bytes, first: int = 1) -> str:
    """Bytes as UTF-8; `first` is the number of their first line."""
    if first == 1 and content.startswith(UTF_16):
        raise ValueError("it is UTF-16: save it as UTF-8")
    try:
        text = content.decode("utf-8-sig" if first == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + first
        raise ValueError(
            f"byte 0x{content[error.start]:02x} in line {line} is not UTF-8; if the"
            " text is Latin-1, `iconv -f latin1 -t utf-8` makes it UTF-8"
        ) from None
    if "\0" in text:
        raise ValueError("it holds zero bytes: it is no text, or UTF-16")
    return text


def read_json(path: Path, remedy: str, *, raises: Errors = ValueError) -> dict:
    """Read a JSON object, as read_text reads a text."""
    text = read_text(path, remedy, raises=raises)
    with reading(path, remedy, raises=raises):
        return json_object(text)


def json_object(text: str) -> dict[str, Any]:
    """A JSON object, or ValueError."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"a JSON {type(content).__name__}, where an object is wanted")
    return content
