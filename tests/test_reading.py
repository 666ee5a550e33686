"""Files that somebody else wrote: read, or refused in one line that names them."""

import json
import os
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidlib import reading as files
from reidlib.reading import printable, read_json, read_lines, read_text, shown

REMEDY = "copy it again"
TEXT = "a café\nin Zürich\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
def test_utf8_is_read_with_and_without_a_byte_order_mark(tmp_path, mark):
    path = tmp_path / "text.txt"
    path.write_bytes(mark + TEXT.encode())
    assert read_text(path, REMEDY) == TEXT
    assert list(read_lines(path, REMEDY)) == [(1, "a café"), (2, "in Zürich")]


def test_a_line_has_the_number_that_an_editor_shows(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\r\n\n  \nfour\x0bstill\n")
    assert list(read_lines(path, REMEDY)) == [(1, "one"), (4, "four\x0bstill")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Zürich\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
        ("ok\nin Zürich\n".encode("latin1"), "0xfc in line 2 is not UTF-8.*Latin-1"),
        ("Z\n".encode("utf-16-le"), "zero bytes"),
    ],
)
def test_another_encoding_is_named_with_what_to_do(tmp_path, content, said):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    for read in (read_text, lambda *given: list(read_lines(*given))):
        with pytest.raises(ValueError, match=rf"text\.txt.*{said}.*: {REMEDY}"):
            read(path, REMEDY)


def make_folder(path):
    path.mkdir()


def make_loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_folder, "it is a folder"),
        (os.mkfifo, "it is a pipe"),
        (make_loop, "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    ],
    ids=["folder", "pipe", "loop", "device"],
)
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, make, said):
    path = tmp_path / "list.txt"
    make(path)
    for read in (read_text, read_json, lambda *given: list(read_lines(*given))):
        with pytest.raises(ValueError, match=rf"list\.txt cannot be read.*{said}"):
            read(path, REMEDY)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"File name too long\): copy it again"):
        read_text(tmp_path / ("ü" * 200), REMEDY)


def test_an_absent_file_is_the_callers_to_judge(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "absent", REMEDY)


def test_texts_and_lines_without_end_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text("short\n" + "x" * 50)
    monkeypatch.setattr(files, "LARGEST", 55)
    with pytest.raises(ValueError, match="it has 56 bytes, more than 55"):
        read_text(path, REMEDY)
    monkeypatch.setattr(files, "LONGEST", 20)
    with pytest.raises(ValueError, match=r"text\.txt, line 2 .*more than 20 bytes"):
        list(read_lines(path, REMEDY))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "nested too deep"),
        (b"[1]", "a JSON list, where an object is wanted"),
        (b"{", "Expecting property name"),
        (b"", "Expecting value"),
        (b'{"n": ' + b"9" * 10_000 + b"}", "Exceeds the limit"),
    ],
)
def test_json_that_is_no_object_is_refused(tmp_path, content, said):
    path = tmp_path / "about.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"about\.json cannot be read \(.*{said}"):
        read_json(path, REMEDY)


def test_a_room_raises_its_own_error_which_is_said_once(tmp_path):
    class OwnError(RuntimeError):
        pass

    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OwnError) as caught, files.reading(path, "b", raises=OwnError):
        read_json(path, REMEDY, raises=OwnError)
    said = str(caught.value)
    assert said == f"{path} cannot be read (it is UTF-16: save it as UTF-8): {REMEDY}"


def test_what_a_parser_raises_becomes_one_line(tmp_path):
    path = tmp_path / "looks.npz"
    path.write_bytes(b"PK\x03\x04 half of an archive")
    message = r"^\S+looks\.npz cannot be read \(.*\): copy it again$"
    with pytest.raises(ValueError, match=message), files.reading(path, REMEDY):
        np.load(BytesIO(path.read_bytes()))


@given(st.text())
def test_what_is_shown_moves_no_cursor(text):
    found = printable(text)
    assert all(c.isprintable() or c == "\n" for c in found)
    assert printable(found) == found
    assert found.count("\n") == text.count("\n")
    if text.isprintable():
        assert found == text


def test_a_name_is_shown_in_one_line_with_its_escapes_spelled_out():
    forged = "evil\x1b[2J\x1b]0;owned\x07\nreid: all is well\r\u202e.jpg"
    assert shown(forged) == (
        r"evil\x1b[2J\x1b]0;owned\x07\nreid: all is well\r\u202e.jpg"
    )
    assert shown(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"
    assert shown("Straße 雪.jpg") == "Straße 雪.jpg"


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_json_of_ours_comes_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(content))
    assert read_json(path, REMEDY) == content
