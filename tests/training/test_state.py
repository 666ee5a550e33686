from pathlib import Path

import pytest

from reidlib.training.state import check_fingerprint, plain


def test_fingerprint_names_each_difference():
    path = Path("checkpoint.pt")
    stored = {"lr": 0.6, "epochs": 5, "margin": 0.3, "same": [1, 2]}
    current = {"lr": 0.06, "epochs": 5, "hpp": True, "same": [1, 2]}
    check_fingerprint(stored, dict(stored), path)
    with pytest.raises(ValueError, match=r"(?s)checkpoint\.pt.*delete") as error:
        check_fingerprint(stored, current, path)
    lines = str(error.value).splitlines()[1:-1]
    assert lines == [
        "  hpp: absent in the checkpoint, True now",
        "  lr: 0.6 in the checkpoint, 0.06 now",
        "  margin: 0.3 in the checkpoint, absent now",
    ]


def test_plain():
    assert plain({"milestones": (40, 80), "lr": 0.6}) == {
        "milestones": [40, 80],
        "lr": 0.6,
    }
    with pytest.raises(ValueError, match="'data_root'.*Path"):
        plain({"data_root": Path("data")})
