"""From images to embeddings: a trained model over a loader, in evaluation mode."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler, Subset

from reidlib import collectives, processes
from reidlib.data.loaders import Batch, TestBatch
from reidlib.evaluation.memory import Shortage, enough_memory


class Embedded(NamedTuple):
    """A loader's images as embeddings, in the loader's order; tensors on the device."""

    embeddings: Any  # (N, D) tensor, or a NamedTuple of tensors with N first
    pids: Tensor  # (N,)
    camids: Tensor  # (N,)
    paths: tuple[Path, ...]


def images_of(batch: Batch | TestBatch) -> tuple[Tensor]:
    """Return what a model sees by default: the images (B, 3, H, W)."""
    return (batch.images,)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode without gradients; each module's own mode is restored after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, mode in modes:
            module.training = mode


def extract(
    model: nn.Module,
    loader: DataLoader,
    *,
    device: torch.device | str,
    embed: Callable[..., Any] | None = None,
    inputs: Callable[[TestBatch], tuple] = images_of,
    flip_average: bool = False,
) -> Embedded:
    """Embed all images of a loader, leaving the model's state and mode as they were.

    loader        of test batches, as data.test_loader makes them
    embed         *inputs(batch) -> (B, D), or a NamedTuple of tensors with B first;
                  by default model.embed
    flip_average  mean of the raw embeddings of each image and its mirror image
    Embeddings are float32. Several processes of a run embed a share each, and all get
    the whole. Raises ValueError if the loader is empty or the model is no module,
    FloatingPointError naming the first image with a non-finite embedding, and
    torch.OutOfMemoryError that says which batch_size_test may fit.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model is {model!r}, but must be a torch module: it is switched to "
            "evaluation mode"
        )
    embed = model.embed if embed is None else embed
    share = own_share(loader)
    parts = []
    with collectives.ending_together(), evaluating(model):
        for batch in share:
            with enough_memory(device, partial(_smaller_batch, len(batch.paths))):
                batch = batch.to(device)
                embedding = in_float32(embed(*inputs(batch)))
                if flip_average:
                    mirrored = batch._replace(images=batch.images.flip(-1))
                    other = in_float32(embed(*inputs(mirrored)))
                    embedding = fieldwise(lambda a, b: (a + b) / 2, embedding, other)
            _check_finite(embedding, batch.paths)
            embedding = fieldwise(_of_its_own, embedding)
            parts.append(Embedded(embedding, batch.pids, batch.camids, batch.paths))
        if share is not loader:
            parts = _of_all_processes(parts, device)
    if not parts:
        raise ValueError("the loader has no image to embed: look at the split it reads")
    return _whole(parts)


def own_share(loader: DataLoader) -> DataLoader:
    """The batches of a loader that this process of a run embeds: some in a row.

    The loader itself where there is one process, and where its order is its own.
    """
    if not processes.are_together():
        return loader
    if not (isinstance(loader.sampler, SequentialSampler) and loader.batch_size):
        return loader
    number, count = processes.number(), processes.count()
    batches = range(len(loader) * number // count, len(loader) * (number + 1) // count)
    first, end = batches.start * loader.batch_size, batches.stop * loader.batch_size
    return DataLoader(
        Subset(loader.dataset, range(first, min(end, len(loader.dataset)))),
        batch_size=loader.batch_size,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        worker_init_fn=loader.worker_init_fn,
        pin_memory=loader.pin_memory,
    )


def _of_all_processes(
    parts: Sequence[Embedded], device: torch.device | str
) -> list[Embedded]:
    """What all processes embedded, in the loader's order."""
    own = [part._replace(**_tensors(part, "cpu")) for part in parts]
    every = [part for theirs in collectives.gathered(own) for part in theirs]
    return [part._replace(**_tensors(part, device)) for part in every]


def _tensors(part: Embedded, device: torch.device | str) -> dict[str, Any]:
    moved = (fieldwise(lambda tensor: tensor.to(device), field) for field in part[:3])
    return dict(zip(Embedded._fields, moved, strict=False))


def _whole(parts: Sequence[Embedded]) -> Embedded:
    embeddings, pids, camids, paths = zip(*parts, strict=True)
    every = tuple(path for some in paths for path in some)
    return Embedded(joined(embeddings), torch.cat(pids), torch.cat(camids), every)


def _smaller_batch(size: int, shortage: Shortage) -> str:
    fitting = shortage.fitting(size)
    return f"Lower batch_size_test from {size} to {fitting}: no score depends on it"


def observe(
    model: nn.Module,
    loader: DataLoader,
    read: Callable[[Any], dict[Any, Tensor]],
    *,
    device: torch.device | str,
    inputs: Callable[[TestBatch], tuple] = images_of,
) -> dict[Any, Tensor]:
    """Join what `read` takes of a model's outputs: float32, on the CPU, by name.

    read   what model(*inputs(batch)) returns -> tensors with B first, by name; a name
           is anything that a dictionary can hold
    """
    parts = []
    with evaluating(model):
        for batch in loader:
            found = read(model(*inputs(batch.to(device))))
            found = {name: t.float().cpu() for name, t in found.items()}
            parts.append({name: _of_its_own(t) for name, t in found.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def joined(parts: Sequence[Any]) -> Any:
    """Embeddings of several batches as those of one."""
    return fieldwise(lambda *tensors: torch.cat(tensors), *parts)


def fieldwise(function: Callable[..., Tensor], first: Any, *others: Any) -> Any:
    """A function of tensors, or of those in each field of NamedTuples."""
    if isinstance(first, Tensor):
        return function(first, *others)
    return type(first)(*map(function, first, *others))


def _of_its_own(part: Tensor) -> Tensor:
    """A class token that is a view of all tokens would keep them all in memory."""
    return part if part.untyped_storage().nbytes() <= part.nbytes else part.clone()


def _check_finite(embedding: Any, paths: tuple[Path, ...]) -> None:
    for values in (embedding,) if isinstance(embedding, Tensor) else embedding:
        bad = ~values.flatten(1).isfinite().all(dim=1)  # (B,)
        if bad.any():
            raise FloatingPointError(
                f"the embedding of {paths[int(bad.int().argmax())]} is not finite: the "
                "weights may have diverged, look at the history's gradient_norm"
            )


PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def in_float32(output: Any) -> Any:
    """Bring 16-bit floating tensors of a (nested) output to float32."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype in PRECISIONS.values() else output
    if isinstance(output, tuple | list):
        values = [in_float32(value) for value in output]
        is_named = hasattr(output, "_fields")
        return type(output)(*values) if is_named else type(output)(values)
    if isinstance(output, dict):
        return {name: in_float32(value) for name, value in output.items()}
    return output
