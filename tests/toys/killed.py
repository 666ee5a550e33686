"""What a process that was killed while it wrote a file leaves beside it."""

import subprocess
import sys

from reidlib import files


def of_a_dead_process(name: str) -> str:
    """The name of a temporary file of `name` whose process is no longer alive."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f".{name}.{files.machine()}-{process.pid}.tmp"
