"""Seeds for everything random, and the device."""

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from reidlib import processes


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


def random_states(device: torch.device) -> dict[str, Any]:
    """The states of all generators that seed_everything seeds, as a file can hold them.

    device   whose own generator is among them
    """
    name, numbers, *rest = np.random.get_state()
    states = {
        "python": random.getstate(),
        "numpy": (name, numbers.tolist(), *rest),
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def restore_random(states: Mapping[str, Any], device: torch.device) -> None:
    """Bring all generators to states that random_states returned; none are no change.

    On a device of another type its own generator stays as it is.
    """
    if not states:
        return
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type])


def initialise(model: nn.Module, seed: int) -> nn.Module:
    """Draw a model's weights anew, those of each module by a generator of its own.

    The generator is seeded by the seed and the module's name: models of one seed start
    alike in every module that they have in common, whatever else they have. What was
    loaded keeps its weights: the parts that a model names in LOADED. For models on the
    CPU; returns the model. Raises TypeError for a module whose parameters no
    `reset_parameters` draws.
    """
    loaded = _loaded(model)
    for name, module in reversed(list(model.named_modules())):  # parts before wholes
        has_own = next(module.parameters(recurse=False), None) is not None
        if has_own and module not in loaded:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_module_seed(seed, name))
                _reset(module, name)
    return model


def _loaded(model: nn.Module) -> set[nn.Module]:
    named = [
        getattr(module, part)
        for module in model.modules()
        for part in getattr(module, "LOADED", ())
    ]
    return {inner for part in named if part is not None for inner in part.modules()}


def _module_seed(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4])


def _reset(module: nn.Module, name: str) -> None:
    for method in ("reset_parameters", "_reset_parameters"):  # _ in torch's attention
        if hasattr(module, method):
            getattr(module, method)()
            return
    raise TypeError(
        f"{name or 'the model'} ({type(module).__name__}) has parameters, but no"
        " reset_parameters that draws them: write one"
    )


def pick_device(name: str) -> torch.device:
    """Return the device of a name; auto is the GPU where there is one, else the CPU.

    Of several processes of a run each gets a GPU of its own. mps, of Apple's
    processors, is taken where it is named only: nobody has tried it. Raises ValueError
    for a device that torch cannot see.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device is {name!r}, but torch sees no GPU: take auto or cpu")
    if name.startswith("mps") and not torch.backends.mps.is_available():
        raise ValueError("device is 'mps', but torch sees no such: take auto or cpu")
    device = torch.device(name)
    if device.type != "cuda" or processes.count() == 1:
        return device
    own, there = processes.number_here(), torch.cuda.device_count()
    if own >= there:
        raise ValueError(
            f"torch sees {there} GPUs here, but process {own} (from 0) of this machine"
            " has none of its own: start as many processes as there are GPUs"
        )
    return torch.device("cuda", own)


def epoch_seed(seed: int, epoch: int, process: int = 0) -> int:
    """Mix a run's seed, an epoch and a process's number into one seed of 32 bits.

    The first process draws as a run of one does, and the others draw otherwise.
    """
    parts = [seed, epoch, process] if process else [seed, epoch]
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
