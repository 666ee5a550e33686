"""What a model costs at test time: images per second, parameters."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reidlib.evaluation.extraction import evaluating, joined
from reidlib.evaluation.metrics import take


class Cost(NamedTuple):
    """Seconds are those of the fastest round: what else a machine does only slows."""

    images_per_second: float  # embedded and compared with the gallery
    embedding_seconds: float  # of all images
    distance_seconds: float  # of all images and the gallery
    parameters: int  # all that are trained or frozen
    parameters_used: int  # those that the embedding depends on


def measure(
    model: nn.Module,
    distances: Callable[[Any, Any], Tensor],
    image_size: tuple[int, int],
    *,
    images: int,
    gallery: int,
    batch_size: int,
    device: torch.device | str,
    rounds: int = 3,
) -> Cost:
    """Embed random images by batches and compare them with a gallery of that size.

    model       has embed; `distances` are its own, of embeddings (Q, ...) and (G, ...)
    images      a multiple of batch_size
    gallery     the embedded images, repeated up to that many
    Raises ValueError for images that are no whole batches.
    """
    if images < batch_size or images % batch_size:
        raise ValueError(
            f"{images} images are not whole batches of {batch_size}: take a multiple"
        )
    model.to(device)
    batch = torch.rand(batch_size, 3, *image_size, device=device)
    batches = [batch] * (images // batch_size)
    with evaluating(model):
        embeddings = joined([model.embed(batch) for batch in batches])
        rows = torch.arange(gallery, device=device) % images
        searched = take(embeddings, rows)
        embedding = _fastest(lambda: [model.embed(b) for b in batches], rounds)
        distance = _fastest(lambda: distances(embeddings, searched), rounds)
    return Cost(
        images_per_second=len(batches) * batch_size / (embedding + distance),
        embedding_seconds=embedding,
        distance_seconds=distance,
        parameters=sum(p.numel() for p in model.parameters()),
        parameters_used=parameters_used(model, batch[:2]),
    )


def _fastest(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def parameters_used(model: nn.Module, images: Tensor) -> int:
    """Count the parameters that gradients of the embedding reach, frozen ones too."""
    frozen = [p for p in model.parameters() if not p.requires_grad]
    known = list(model.requires_grad_(True).parameters())
    try:
        with evaluating(model), torch.enable_grad():
            embeddings = model.embed(images)
            tensors = [embeddings] if isinstance(embeddings, Tensor) else embeddings
            total = sum(tensor.float().sum() for tensor in tensors if tensor.numel())
            found = torch.autograd.grad(total, known, allow_unused=True)
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    pairs = zip(known, found, strict=True)
    return sum(p.numel() for p, grad in pairs if grad is not None)
