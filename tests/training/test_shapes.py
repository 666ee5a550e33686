from typing import NamedTuple

import torch
from torch import Tensor

from reidlib.training.shapes import shape_table


class Inner(NamedTuple):
    regions: Tensor
    weights: Tensor | None


class Output(NamedTuple):
    embedding: Inner
    logits: tuple[Tensor, ...]
    count: int


def test_every_tensor_of_an_output_has_a_row():
    inner = Inner(torch.zeros(2, 4, 8), None)
    table = shape_table(Output(inner, (torch.zeros(2, 5), torch.zeros(2)), 3))
    assert table.to_dict() == {
        "embedding.regions": (2, 4, 8),
        "logits.0": (2, 5),
        "logits.1": (2,),
    }
    assert table.name == "shape"


def test_a_tensor_alone_and_a_mapping_have_rows_too():
    assert shape_table(torch.zeros(3, 1)).to_dict() == {"output": (3, 1)}
    assert shape_table({"a": {"b": torch.zeros(2)}}).to_dict() == {"a.b": (2,)}
    assert shape_table(None).empty
