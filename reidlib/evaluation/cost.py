"""What a model costs at test time: images per second, parameters."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reidlib.evaluation.extraction import evaluating, joined
from reidlib.evaluation.metrics import take


class Spread(NamedTuple):
    """What rounds of one measurement had: the median between both quartiles."""

    lower: float
    median: float
    upper: float

    def __str__(self) -> str:
        """As a table has it.

        >>> str(Spread(9.9, 10.123456, 12))
        '10.12 (9.9 to 12)'
        """
        return f"{self.median:.4g} ({self.lower:.4g} to {self.upper:.4g})"


class Cost(NamedTuple):
    """What a model took, over rounds, and how many parameters it has."""

    images_per_second: Spread  # embedded and compared with the gallery
    embedding_seconds: Spread  # of all images
    distance_seconds: Spread  # of all images and the gallery
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
    rounds      each embeds and compares all; none counts the first use of a model,
                which is before them
    Raises ValueError for images that are no whole batches, and without a round.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}, but must be at least 1")
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
        distances(embeddings, searched)
        pairs = [
            (
                _seconds(lambda: [model.embed(b) for b in batches]),
                _seconds(lambda: distances(embeddings, searched)),
            )
            for _ in range(rounds)
        ]
    return Cost(
        images_per_second=_spread([images / (e + d) for e, d in pairs]),
        embedding_seconds=_spread([embedding for embedding, _ in pairs]),
        distance_seconds=_spread([distance for _, distance in pairs]),
        parameters=sum(p.numel() for p in model.parameters()),
        parameters_used=parameters_used(model, batch[:2]),
    )


def _seconds(work: Callable[[], object]) -> float:
    _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _spread(values: Sequence[float]) -> Spread:
    shares = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    return Spread(*torch.tensor(values, dtype=torch.float64).quantile(shares).tolist())


def parameters_used(model: nn.Module, *inputs: Tensor) -> int:
    """Count the parameters that gradients of the embedding reach, frozen ones too.

    inputs   of embed: images (B, 3, height, width), and captions where it reads them
    """
    frozen = [p for p in model.parameters() if not p.requires_grad]
    known = list(model.requires_grad_(True).parameters())
    try:
        with evaluating(model), torch.enable_grad():
            embeddings = model.embed(*inputs)
            tensors = [embeddings] if isinstance(embeddings, Tensor) else embeddings
            total = sum(tensor.float().sum() for tensor in tensors if tensor.numel())
            found = torch.autograd.grad(total, known, allow_unused=True)
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    pairs = zip(known, found, strict=True)
    return sum(p.numel() for p, grad in pairs if grad is not None)
