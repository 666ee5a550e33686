"""A run that trains nothing, in a process of its own."""

# in place of `python -m reidrun.runs.execute`: a run that scores 0.5, or fails by seed
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
from reidrun.runs.folder import SCORES

notebook, folder, parameters = json.loads(sys.stdin.readline())
folder, seed = Path(folder), parameters["seed"]
(folder / "pid").write_text(str(os.getpid()))
if seed == 6:  # ends with its stdin
    sys.stdin.read()
    sys.exit()
if seed == 7:
    sys.exit("a traceback\\nValueError: seven")
if seed == 8:
    os.kill(os.getpid(), signal.SIGKILL)
if seed == 9:  # hears nothing
    time.sleep(600)
for _ in range(200 if seed == 5 else 0):  # waits for the others of the seed
    time.sleep(0.05)
    if len(list(folder.parent.glob("*-s5/pid"))) == 2:
        break
else:
    assert seed != 5, "alone"
scores = {"plaza": {"mAP": 0.832}, "station": {"mAP": 0.5}}
scores = {name: dict.fromkeys(SCORES, 1) | own for name, own in scores.items()}
record = {"scores": scores, "threads": os.environ.get("OMP_NUM_THREADS")}
record |= {"benchmark": "plaza", "paper": "toy", "drawn": True, "seed": seed}
record |= {"variant": folder.name.rpartition("-s")[0], "seconds": 1.0, "commit": ""}
if seed == 4:
    record["scores"] = []
(folder / "metrics.json").write_text(json.dumps(record))
"""
