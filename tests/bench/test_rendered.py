"""Seconds an image, measured and printed by `pytest -s -m bench tests` alone."""

import time
from importlib.util import find_spec
from itertools import islice

import numpy as np
import pytest

from reidlib.rendered import RECIPES, entries
from reidlib.rendered.rendering import render

pytestmark = [
    pytest.mark.bench,
    pytest.mark.skipif(
        not (find_spec("anny") and find_spec("mitsuba")),
        reason="rendering people needs the extra [render]",
    ),
]


def test_images_are_rendered_in_a_fraction_of_a_second():
    shots = [entry.shot for entry in islice(entries(RECIPES["concourse"]), 0, 240, 5)]
    for shot in shots[:6]:
        render(shot)  # one of each camera: its place is made once
    seconds, shares = [], []
    for shot in shots:
        start = time.process_time()
        shares.append(render(shot).facts["visible"])
        seconds.append(time.process_time() - start)
    print(
        f"\n{np.mean(seconds):.2f} s of a processor an image ({np.median(seconds):.2f}"
        f" the median, {max(seconds):.2f} the longest of {len(shots)});"
        f" {100 * np.mean(shares):.0f} % of people visible"
    )
    assert np.mean(seconds) < 1
