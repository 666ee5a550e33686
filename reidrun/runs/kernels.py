"""The kernel of a notebook that is executed: its Python, its sockets, its locks."""

import os
import shutil
import tempfile
from pathlib import Path
from subprocess import Popen
from typing import Any, ClassVar

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from reidlib.files import is_alive, machine
from reidrun.runs.errors import RunError
from reidrun.runs.locks import inherited

LONGEST_TMPDIR = 60  # bytes: a socket's path has at most 107, on macOS 103


def folder_of_sockets() -> tempfile.TemporaryDirectory:
    """A folder whose path a socket's name can hold: TMPDIR, or /tmp for a long one.

    What a killed process left there is removed.
    """
    usual = tempfile.gettempdir()
    place = usual if len(os.fsencode(usual)) <= LONGEST_TMPDIR else "/tmp"
    own = f"reid-{machine()}-"
    for left in Path(place).glob(f"{own}*-*"):
        process = left.name.removeprefix(own).partition("-")[0]
        if process.isdigit() and not is_alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)
    try:
        return tempfile.TemporaryDirectory(
            prefix=f"{own}{os.getpid()}-", dir=place, ignore_cleanup_errors=True
        )
    except OSError as error:
        said = f"{place} cannot be written to ({error.strerror})"
        raise RunError(f"{said}: set TMPDIR to a short path") from None


class ThisPython(AsyncKernelManager):
    """Kernels of the interpreter that runs this, whatever `python3` is elsewhere.

    JUPYTER_PATH or a user's own folder may have a kernel python3 of another one.

    process   of the latest kernel: a process executes one notebook at a time
    """

    process: ClassVar[Popen | None] = None

    @property
    def kernel_spec(self) -> KernelSpec:
        """How a kernel is started."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict]:
        """Let the kernel hold the run folders that this process holds."""
        command, options = await super()._async_pre_start_kernel(**options)
        return command, options | {"pass_fds": inherited()}

    async def _async_post_start_kernel(self, **options: Any) -> None:
        ThisPython.process = self.provisioner.process
        await super()._async_post_start_kernel(**options)


def kernel_config(sockets: str) -> Config:
    """A kernel whose sockets have a folder of their own: ports could clash."""
    config = Config()
    config.NotebookClient.kernel_manager_class = ThisPython
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = f"{sockets}/kernel"
    config.KernelManager.connection_file = f"{sockets}/kernel.json"
    return config
