"""What a training shows and writes while it goes on."""

import logging
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys.toy_paper import notebook as notebook_of
from toys.toy_training import objective, toy_loader, toy_run

from reidrun.runs.execute import execute_page
from reidrun.watching import Watch, follow_trainings

LIVE = {
    "parameters": "# Schema\nepochs: int = 30  # of the training\n",
    "fit": """\
from toys.toy_training import toy_run
from reidrun.watching import Watch, follow_trainings, is_live

assert is_live()
follow_trainings(None, live=True)
model, history = toy_run(epochs=epochs, watch=Watch(None, live=True))
""",
    "again": "model, history = toy_run(epochs=1, watch=Watch(None, live=True))",
}


def test_thirty_updates_leave_one_figure_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("TQDM_MININTERVAL", "1000")
    monkeypatch.setenv("TQDM_DISABLE", "")
    path, output = tmp_path / "live.ipynb", tmp_path / "out.ipynb"
    nbformat.write(nbformat.from_dict(notebook_of(LIVE)), path)
    execute_page(path, output, {})
    cells = {cell.id: cell for cell in nbformat.read(output, as_version=4).cells}
    for name, last in (("fit", "epoch 30 of 30"), ("again", "epoch 1 of 1")):
        shown = [o for o in cells[name].outputs if o.output_type == "display_data"]
        figure, line = sorted(shown, key=lambda one: "image/png" not in one.data)
        assert "image/png" in figure.data
        assert line.data["text/plain"].startswith(last)


class Interrupted:
    """An objective that Ctrl-C meets at a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, output, batch):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return objective(output, batch)


def test_an_interrupted_cell_goes_on_and_a_finished_one_trains_anew(tmp_path):
    watch = Watch(None, tmp_path)
    kept = {"checkpoint": tmp_path / "checkpoint.pt", "watch": watch}
    step = 2 * len(toy_loader()) + 1
    with pytest.raises(
        KeyboardInterrupt, match=r"epoch 3 of 5, .*2 epochs are in.*go on"
    ):
        toy_run(objective=Interrupted(step), **kept)
    left = 3 * len(toy_loader())  # a training from the start would have more
    _, resumed = toy_run(objective=Interrupted(left + 1), **kept)
    pd.testing.assert_frame_equal(resumed, toy_run()[1], check_exact=True)
    assert list(tmp_path.iterdir()) == [], "a finished training is forgotten"
    with pytest.raises(KeyboardInterrupt, match="nothing is kept"):
        toy_run(objective=Interrupted(step))


def test_event_files_hold_every_epoch_once(tmp_path):
    events, kept = tmp_path / "events", {"checkpoint": tmp_path / "checkpoint.pt"}
    scores = {"evaluate": lambda: {"mAP": 0.25}, "evaluate_every": 2}
    toy_run(epochs=2, watch=Watch(None, events=events), **kept, **scores)
    watch = Watch(None, events=events)
    _, history = toy_run(epochs=5, watch=watch, **kept, **scores)
    watch.close()
    found = EventAccumulator(str(events)).Reload()
    assert {"loss", "identity", "lr", "mAP"} <= set(found.Tags()["scalars"])
    losses = [(point.step, point.value) for point in found.Scalars("loss")]
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5]
    assert [v for _, v in losses] == pytest.approx(history["loss"].tolist())
    assert [point.step for point in found.Scalars("mAP")] == [2, 4, 5]


def test_trainings_are_followed_where_somebody_looks(tmp_path):
    logger = logging.getLogger("reidlib.training")
    before = logger.handlers, logger.propagate, logger.level
    try:
        follow_trainings(tmp_path / "not there", live=False)
        assert logger.handlers == [] and logger.propagate
        follow_trainings(tmp_path, live=False)
        toy_run(epochs=2)
        lines = (tmp_path / "progress.log").read_text().splitlines()
        assert [line.partition(",")[0] for line in lines] == [
            *("epoch 1 of 2", "epoch 2 of 2")
        ]
    finally:
        for handler in logger.handlers:
            handler.close()
        logger.handlers, logger.propagate, level = before
        logger.setLevel(level)
