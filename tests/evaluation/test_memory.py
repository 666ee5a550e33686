"""Where memory does not suffice, it is said which parameter to lower, and to what."""

import re
from types import SimpleNamespace

import pytest
import torch
from toys.toy_training import ToyModel, ordered_loader, toy_run

from reidlib.evaluation.extraction import extract
from reidlib.evaluation.memory import Shortage, enough_memory

CUDA = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of"
GIB = 2**30


def short_of_memory(*_):
    raise torch.OutOfMemoryError(CUDA)


def test_what_fits_is_in_proportion_and_half_at_most():
    assert Shortage(80, 20, 81).fitting(16) == 8
    assert Shortage(80, 20, 140).fitting(16) == 8
    assert Shortage(80, 20, 260).fitting(16) == 4
    assert Shortage(80, 20, 9999).fitting(16) == 1
    assert Shortage(0, 0, 0).fitting(3) == 1, "not measured"


def test_the_numbers_of_the_device_are_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 6 * GIB)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 78 * GIB)
    whole = SimpleNamespace(total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: whole)
    told = []
    said = "of 80.0 GiB 6.0 were kept .* at least 80.5 were wanted. Take less"
    with (
        pytest.raises(torch.OutOfMemoryError, match=f"memory of cuda .*: {said}"),
        enough_memory("cuda", lambda shortage: told.append(shortage) or "Take less"),
    ):
        short_of_memory()
    assert told == [Shortage(80 * GIB, 6 * GIB, int(80.5 * GIB))]
    with enough_memory("cuda", told.append):
        pass
    assert len(told) == 1


@pytest.mark.parametrize(
    ("fail", "wanted"),
    [
        (lambda: torch.empty(1 << 50, dtype=torch.uint8), "1048576.0 GiB"),  # of a CPU
        (lambda: mps("Tried to allocate 512.00 MB on private pool."), "0.5 GiB"),
        (short_of_memory, "2.5 GiB"),
        (lambda: plainly("CUDA error: out of memory\nCUDA kernel errors"), "0.0 GiB"),
        (lambda: plainly("CUDNN_STATUS_ALLOC_FAILED"), "0.0 GiB"),
        (
            lambda: plainly("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `c"),
            "0.0 GiB",
        ),
    ],
)
def test_where_nothing_is_measured_what_was_wanted_is_said(fail, wanted):
    said = f"of cpu does not suffice: with this batch {wanted} more were wanted. 1 of 3"
    with (
        pytest.raises(torch.OutOfMemoryError, match=said),
        enough_memory("cpu", lambda shortage: f"{shortage.fitting(3)} of 3"),
    ):
        fail()


def mps(words):
    raise RuntimeError(f"MPS backend out of memory (MPS allocated: 9.00 GB). {words}")


def plainly(words):
    raise RuntimeError(words)


def test_others_on_the_device_are_named_where_it_had_room_for_this_batch():
    beside = r"wanted \(others, as runs beside this one, had the rest\)$"
    assert re.search(beside, str(Shortage(80 * GIB, GIB, 3 * GIB)))
    assert str(Shortage(80 * GIB, GIB, 81 * GIB)).endswith("81.0 were wanted")


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError, match="^shapes"), enough_memory("cpu", str):
        raise RuntimeError("shapes differ")


def test_a_test_names_its_batch_size():
    said = "Lower batch_size_test from 5 to 2: no score depends on it"
    with pytest.raises(torch.OutOfMemoryError, match=said):
        extract(ToyModel(), ordered_loader(), device="cpu", embed=short_of_memory)


@pytest.mark.parametrize(("precision", "offered"), [("fp32", True), ("bf16", False)])
def test_a_step_names_people_precision_and_what_that_changes(
    tmp_path, precision, offered
):
    path, steps = tmp_path / "checkpoint.pt", []

    def objective(output, batch):
        steps.append(batch)
        short_of_memory()

    with pytest.raises(torch.OutOfMemoryError) as error:
        toy_run(objective=objective, precision=precision, checkpoint=path)
    said = str(error.value)
    people = len(steps[0].labels.unique())
    assert f"Lower num_identities_per_batch from {people} to 2" in said
    assert re.search(r"\(images_per_identity is \d\)", said)
    assert ("or take precision bf16" in said) is offered
    assert "another training than the paper's" in said
    assert said.endswith("This was in epoch 1 of 5, behind step 0; nothing is kept")
