"""Captions of photographs, from a vision-language model.

A captioner takes pictures and a prompt, and answers in words for each. FBA ("Background
Matters Too", "Multimodal Representation Encoding") asks LLaVA v1.5-7B twice: for the
person, and for the background.
"""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from reidlib.data.captions import (
    CORRECT,
    FILE,
    Captions,
    captions_of,
    read_captions,
)
from reidlib.data.pictures import read_picture
from reidlib.data.samples import Sample
from reidlib.files import write_bytes
from reidlib.prepare.pipelines import load_pipeline
from reidlib.reading import json_object, read_lines

Captioner = Callable[[Sequence[Image.Image], str], list[str]]
PROMPTS = Captions(
    person="Describe the appearance of persons in the image, focusing on their"
    " appearance, attire and accessories.",
    background="Describe the background in the image with less than 50 words, focusing"
    " on any objects or elements that might obscure the view of the person.",
)


def load_captioner(model: str, device: str, *, max_new_tokens: int) -> Captioner:
    """Load a captioner: a model of transformers by name or folder, or `stand-in`.

    model           e.g. llava-hf/llava-1.5-7b-hf; it decodes greedily, so that captions
                    come out the same again. stand-in answers with the captions of drawn
                    pedestrians; see `stand_in`
    max_new_tokens  of an answer; CLIP reads 75 of its own

    Raises ModuleNotFoundError where transformers is not installed.
    """
    if model == "stand-in":
        return stand_in
    answer = load_pipeline(
        "image-text-to-text",
        model,
        device,
        otherwise="train the baseline of fba.ipynb (cross_modal: false), which reads no"
        " captions",
        dtype="auto",
    )
    return partial(_ask, answer, max_new_tokens)


def _ask(
    answer: Callable[..., Any],
    max_new_tokens: int,
    pictures: Sequence[Image.Image],
    prompt: str,
) -> list[str]:
    chats = []
    for picture in pictures:
        asked = [{"type": "image", "image": picture}, {"type": "text", "text": prompt}]
        chats.append([{"role": "user", "content": asked}])
    found = answer(
        text=chats,
        batch_size=len(chats),
        return_full_text=False,
        generate_kwargs={"max_new_tokens": max_new_tokens, "do_sample": False},
    )
    return [texts[0]["generated_text"] for texts in found]


def stand_in(pictures: Sequence[Image.Image], prompt: str) -> list[str]:
    """Answer like a captioner for drawn pictures that lie below their captions."""
    paths = [Path(picture.filename) for picture in pictures]
    known = captions_of([Sample(path, 0, 0) for path in paths])
    place = PROMPTS.index(prompt)
    return [known[path][place] for path in paths]


def folder_above(samples: Sequence[Sample]) -> Path:
    """The nearest folder that all images lie in, where their captions belong."""
    return Path(os.path.commonpath([sample.path.parent for sample in samples]))


def write_captions(
    samples: Sequence[Sample], captioner: Captioner, root: Path, *, batch_size: int
) -> int:
    """Append to <root>/captions.jsonl the captions of every image that has none there.

    Images are named by their path below `folder_above`. Returns how many were written;
    an image without an answer gets no line, and is asked about again next time. A run
    that was interrupted goes on: each batch is on disk as soon as it is answered, and a
    last line that was cut off is dropped. Raises ValueError for captions there that
    cannot be read.
    """
    file, above = root / FILE, folder_above(samples)
    root.mkdir(parents=True, exist_ok=True)
    _mend(file)
    done = read_captions(root)
    paths = dict.fromkeys(sample.path for sample in samples)
    waiting = [path for path in paths if root / path.relative_to(above) not in done]
    written = 0
    with file.open("a", encoding="utf-8") as lines:
        for start in tqdm(range(0, len(waiting), batch_size), desc="captions"):
            chosen = waiting[start : start + batch_size]
            for path, texts in zip(chosen, _answers(chosen, captioner), strict=True):
                if all(texts):
                    row = {"image": path.relative_to(above).as_posix()}
                    lines.write(json.dumps(row | texts._asdict()) + "\n")
                    written += 1
            lines.flush()
    return written


def _answers(paths: Sequence[Path], captioner: Captioner) -> list[Captions]:
    pictures = [read_picture(path) for path in paths]
    pairs = zip(*(captioner(pictures, prompt) for prompt in PROMPTS), strict=True)
    return [Captions(*(" ".join(text.split()) for text in pair)) for pair in pairs]


def _mend(file: Path) -> None:
    """End the last line, or drop it where it was cut off; make an absent file.

    What is not UTF-8 is refused and left as it is: somebody wrote those words.
    """
    content = file.read_bytes() if file.is_file() else b""
    start = content.rfind(b"\n") + 1
    if content and start == len(content):
        return
    last = [line for _, line in read_lines(file, CORRECT)][-1:] if content else []
    try:
        json_object("".join(last))
        write_bytes(file, content + b"\n")
    except ValueError:
        write_bytes(file, content[:start])
