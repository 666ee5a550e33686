"""What tells how long an installation and its first runs took."""

import re
import sys

from bench import timed

PYTHON = sys.executable


def test_commands_run_in_turn_and_their_seconds_are_said(capfd, tmp_path):
    path = tmp_path / "written"
    write = f"{PYTHON} -c \"open('{path}', 'w').write('a=b')\""
    count = "import time; [0 for _ in iter(lambda: time.process_time() < 1, False)]"
    assert timed.run([f"one={write}", f'two={PYTHON} -c "{count}"']) == 0
    assert path.read_text() == "a=b"
    one, two, whole = capfd.readouterr().out.splitlines()
    assert re.match(r"one: \d+ min \d+ s$", one) and two.startswith("two: ")
    seconds = re.match(r"in all: \d+ min \d+ s, (\d+) seconds of processors", whole)
    assert int(seconds[1]) >= 1


def test_a_failure_ends_it_and_is_the_exit_code(capfd):
    failing = f'{PYTHON} -c "raise SystemExit(3)"'
    assert timed.run([f"one={failing}", f"two={PYTHON} -c pass"]) == 3
    assert [x[:6] for x in capfd.readouterr().out.splitlines()] == ["one: 0", "in all"]
