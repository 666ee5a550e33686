"""What processes tell each other, and what is found again as one would have it."""

import numpy as np
import pytest
from toys import parallel_training as toys
from toys.side_by_side import together

from reidlib import collectives


@pytest.mark.parametrize(
    ("images", "batch_size", "count"),
    [(20, 5, 2), (23, 5, 2), (3, 5, 2), (23, 4, 3), (1, 1, 3)],
)
def test_embeddings_are_those_of_one_process_in_its_order(images, batch_size, count):
    expected = toys.embedded(images, batch_size)
    for found in together(toys.embedded, images, batch_size, count=count):
        assert found[-1] == expected[-1]
        assert len(set(found[-1])) == images, "none comes twice"
        for array, other in zip(found[:-1], expected[:-1], strict=True):
            np.testing.assert_array_equal(array, other)


def test_embeddings_with_fields_are_joined_by_field():
    expected = toys.embedded(7, 2, named=True)
    for found in together(toys.named, 7, 2):
        for array, other in zip(found[:-1], expected[:-1], strict=True):
            np.testing.assert_array_equal(array, other)


def test_nested_outputs_are_joined_and_means_taken_over_processes():
    first, second = together(toys.told)
    assert first == second
    assert first["joined"] == ([[0.0, 0.0], [1.0, 1.0]], [[0.0], [1.0]], None)
    assert first["mean"] == 0.5
    assert first["gathered"] == ["process 0", "process 1"]


def test_apart_nobody_waits_for_anybody():
    assert together(toys.alone) == [["only 0"], ["only 1"]]


def test_one_process_has_all_there_is():
    value = (1, None)
    assert collectives.of_all(value) is value
    assert collectives.gathered(3) == [3]
    assert collectives.tell_failure(OSError("disk")) == ""
