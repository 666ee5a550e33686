"""Weights that others have published and full-size runs need: found, fetched, checked.

A node without a network finds by name what was fetched on one that has it: torch.hub
and the hub of Hugging Face keep their files in caches, $TORCH_HOME and $HF_HOME.
"""

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import LocalEntryNotFoundError

IS_SHA256 = re.compile(r"[0-9a-f]{64}")  # as the hub names files that it has checked
NEEDED = ["*.json", "*.jinja", "*.model", "*.safetensors", "*.txt"]


class Published(NamedTuple):
    """Weights by the name that parameters give them.

    origin    an address, or a repository of Hugging Face
    file      in it; "" all that is needed of it
    size      in bytes; 0: not known before it is fetched
    sha256    "" the hub's own, by which its cache names the file, is what is compared
    """

    name: str
    what: str
    origin: str
    file: str
    size: int
    sha256: str
    licence: str

    @property
    def place(self) -> Path:
        """The folder in which it is looked for."""
        if self.origin.startswith("http"):
            return _torch_hub()
        return Path(HF_HUB_CACHE, f"models--{self.origin.replace('/', '--')}")

    def paths(self) -> list[Path]:
        """Its files where they are; none where it was not fetched."""
        if self.origin.startswith("http"):
            path = self.place / self.file
            return [path] if path.is_file() else []
        if self.file:
            found = try_to_load_from_cache(self.origin, self.file)
            return [Path(found)] if isinstance(found, str) else []
        try:
            folder = snapshot_download(
                self.origin, allow_patterns=NEEDED, local_files_only=True
            )
        except LocalEntryNotFoundError:
            return []
        return sorted(path for path in Path(folder).rglob("*") if path.is_file())

    def fetch(self) -> None:
        """Fetch it into the cache. Raises OSError and what the clients raise."""
        if self.origin.startswith("http"):
            from torch.hub import download_url_to_file

            self.place.mkdir(parents=True, exist_ok=True)
            target = self.place / self.file
            shown = sys.stderr.isatty()
            download_url_to_file(self.origin, str(target), self.sha256, progress=shown)
        elif self.file:
            hf_hub_download(self.origin, self.file)
        else:
            snapshot_download(self.origin, allow_patterns=NEEDED)

    def faults(self) -> Iterator[str]:
        """What is wrong with it here: a line for each file that is not what it is."""
        paths = self.paths()
        if not paths:
            yield self.absence()
        for path in sorted(self.place.glob("blobs/*.incomplete")):
            yield f"{path} was not fetched to its end: fetch {self.name} again"
        for path in paths:
            name = path.resolve().name  # in the hub's cache: what it was when fetched
            wanted = self.sha256 or (name if IS_SHA256.fullmatch(name) else "")
            if self.size and path.stat().st_size != self.size:
                yield f"{path} has {path.stat().st_size} bytes, not {self.size}"
            elif wanted and (found := sha256_of(path)) != wanted:
                yield f"{path} has the sha256 {found}, not {wanted}"

    def absence(self) -> str:
        """Say that it is not here, where it was looked for, and how it comes."""
        return (
            f"{self.name}: {self.file or self.origin} ({self.what}) is not in"
            f" {self.place}: fetch it where there is a network, by `reid weights fetch"
            f" {self.name}`, into a folder that this machine sees"
        )


PUBLISHED = {
    weights.name: weights
    for weights in (
        Published(
            "imagenet",
            "ResNet-50 of torchvision, IMAGENET1K_V1",
            "https://download.pytorch.org/models/resnet50-0676ba61.pth",
            "resnet50-0676ba61.pth",
            102530333,
            "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            "BSD-3-Clause; ImageNet's images have terms of their own",
        ),
        Published(
            "openai",
            "CLIP ViT-B/16 of OpenAI, as open_clip takes it",
            "timm/vit_base_patch16_clip_224.openai",
            "open_clip_model.safetensors",
            0,
            "",
            "MIT, as OpenAI's code; its model card names what it is not for",
        ),
        Published(
            "captioner",
            "LLaVA v1.5-7B, for notebooks/prepare/captions.ipynb",
            "llava-hf/llava-1.5-7b-hf",
            "",
            0,
            "",
            "Llama 2 community licence",
        ),
        Published(
            "parser",
            "SegFormer B2 for clothes, for notebooks/prepare/masks.ipynb",
            "mattmdjaga/segformer_b2_clothes",
            "",
            0,
            "",
            "copies name several: read its card first",
        ),
    )
}


def _torch_hub() -> Path:
    from torch.hub import get_dir  # takes seconds, and only one of them is there

    return Path(get_dir(), "checkpoints")


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
