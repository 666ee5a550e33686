"""Seeds for everything random, and the device."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on all devices, and ask cuDNN for fixed algorithms.

    Equal seeds give equal bits on a CPU with the same number of threads; on a GPU
    atomic additions may still differ.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def pick_device(name: str) -> torch.device:
    """Return the device of a name; auto is the GPU where there is one, else the CPU.

    Raises ValueError for a GPU that torch cannot see.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {name!r}, but torch sees no GPU: take auto or cpu")
    return torch.device(name)


def epoch_seed(seed: int, epoch: int) -> int:
    """Mix a run's seed and an epoch into one seed of 32 bits."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
