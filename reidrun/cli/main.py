"""The command `reid`: run papers and ablations, look at data folders, show results.

    reid run fanet --on plaza --seed 1 -p epochs 5
    reid sweep params/ablations/fanet_components.yaml --on plaza --seeds 0 1 2
    reid study [--run]                       the runs of the study, by priority
    reid data check market1501 FOLDER        reid data tree market1501
    reid search RUN --query FOLDER --gallery FOLDER
    reid look RUN --on market1501            maps and lists, as pictures beside the data
    reid export RUN --to onnx                reid status
    reid results [--write]                   reid gallery
    reid weights list                        reid weights fetch imagenet openai

Exit codes: 0 done, 1 a run failed or data is faulty, 2 the command asks for something
that is not there, 75 told to stop by SIGTERM or SIGUSR1 (the same command goes on), 130
Ctrl-C. Nothing is trained before everything asked for has been checked.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from reidrun.cli.messages import complain
from reidrun.runs.environment import ROOT
from reidrun.runs.errors import ParameterError, RunError
from reidrun.runs.stopping import STOPPED, Stopped, listen

INTERRUPTED = 130
TRAINING = ("run", "sweep", "study")  # what a queue may stop, and start again
COMMANDS = {  # the module of each, imported when its command is given; and its help
    "run": ("run", "run the notebooks of papers"),
    "sweep": ("sweep", "run an ablation: variants by seeds"),
    "study": ("study", "what the study of the small scale needs, and its runs"),
    "status": ("status", "how far every run is"),
    "evaluate": ("evaluate", "test a finished run on other sets"),
    "compare": ("compare", "the difference of two runs, with its interval"),
    "params": ("params", "the parameters of a run, with meaning and source"),
    "new": ("new", "the files of a method of one's own"),
    "look": ("look", "where finished runs look, and whom they find, as pictures"),
    "search": ("search", "rank pictures of yours by a trained run"),
    "export": ("export", "write a trained run for torch.export or ONNX"),
    "results": ("results", "the table of all finished runs"),
    "gallery": ("server", "the site of executed pages, in a browser"),
    "data": ("data", "look at the folder of a benchmark"),
    "weights": ("weights", "fetch what full-size runs start from"),
}


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run one command; return its exit code. `root` holds notebooks/ and params/."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] and words[0] in TRAINING:
        listen()
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII only
    try:
        args = _parser(root, words[0] if words else "").parse_args(words)
        return args.command(args, root)
    except (ParameterError, RunError) as error:
        return complain(error, 2)
    except BrokenPipeError:  # who reads has seen enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return complain(f"{error.filename or 'a file'}: {error.strerror or error}", 2)
    except Stopped as told:
        return complain(told, STOPPED)
    except KeyboardInterrupt:
        return complain("interrupted; the same command goes on", INTERRUPTED)


def _parser(root: Path, given: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == given:
            import_module(f"reidrun.cli.{module}").describe(command, root)
    return parser


if __name__ == "__main__":
    sys.exit(main())
