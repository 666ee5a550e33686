"""A few steps of training, which a model of toy size has to profit from."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam


def assert_learns(
    model: nn.Module,
    images: Callable[[], Tensor],
    loss_of: Callable[[Any], Tensor],
    *,
    lr: float = 3e-3,
    after_step: Callable[[Any], object] = lambda output: None,
) -> None:
    """Every trained weight gets a gradient, and twelve steps take a fifth off the loss.

    loss_of, after_step   of the model's output
    """
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
    losses = []
    for _ in range(12):
        output = model(images())
        loss = loss_of(output)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        after_step(output)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert losses[-1] < 0.8 * losses[0]
