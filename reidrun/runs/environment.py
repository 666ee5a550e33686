"""What a run was made with: versions, commit, hardware, memory; no path, no host."""

import importlib.metadata
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from reidlib import processes

ROOT = Path(__file__).resolve().parents[2]
CODE = ("reidlib", "reidrun", "notebooks", "params")
CODE += ("pyproject.toml", "requirements.lock")
PACKAGES = ("torch", "torchvision", "timm", "open_clip_torch", "numpy", "pandas")
PACKAGES += ("pillow", "scipy", "papermill")
NOT_KNOWN = "not known"


def environment() -> dict[str, Any]:
    """Return versions, commit and hardware; no path and no host name.

    Where git does not tell, commit is NOT_KNOWN and dirty None.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    changes = _git(ROOT, "status", "--porcelain", "--", *CODE)
    return {
        "versions": {"python": platform.python_version(), **versions},
        "commit": _git(ROOT, "rev-parse", "HEAD") or NOT_KNOWN,
        "dirty": None if changes is None else bool(changes),
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": _threads(),
            "accelerator": _accelerator(),
            "processes": processes.count(),  # each with such an accelerator
        },
    }


def tracked(folder: Path, *options: str) -> set[Path] | None:
    """Return the files below a folder that git tracks; None where there is no git.

    options   of `git ls-files`, for other files than those
    """
    if _git(folder, "rev-parse", "--is-inside-work-tree") != "true":
        return None
    names = (_git(folder, "ls-files", "-z", *options) or "").split("\0")
    return {folder / name for name in names if name and (folder / name).is_file()}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None where it says nothing: no git, no commit, not its owner."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text("utf-8") if cpuinfo.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1] if model else platform.processor()


def _threads() -> int:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else 0


def _accelerator() -> str:
    torch = sys.modules.get("torch")  # imported where something was trained
    if torch is None or not torch.cuda.is_available():
        return "none"
    return torch.cuda.get_device_name()


def peak_memory() -> dict[str, int]:
    """Return the peak memory of this process so far, host and accelerator, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    torch = sys.modules.get("torch")
    on_device = torch is not None and torch.cuda.is_available()
    device = torch.cuda.max_memory_allocated() if on_device else 0
    return {"host": host >> 20, "accelerator": device >> 20}
