"""`reid weights`: what others have published and full-size runs need."""

import argparse
from pathlib import Path

from reidlib.checks import unknown
from reidlib.published_weights import PUBLISHED, Published
from reidrun.cli.messages import complain, say
from reidrun.runs.errors import ParameterError


def describe(command: argparse.ArgumentParser, root: Path) -> None:
    """Give `reid weights` its arguments."""
    actions = ("list", "fetch", "check")
    text = (
        "list: each with size, sha256, licence and place; fetch: into the caches of"
        " torch.hub and Hugging Face, where runs find them by name; check: each file"
        " that is here against its sha256"
    )
    command.add_argument("action", choices=actions, help=text)
    text = f"of {', '.join(PUBLISHED)}; list and check: all if none is named"
    command.add_argument("names", nargs="*", metavar="NAME", help=text)
    command.set_defaults(command=show_weights)


def show_weights(args: argparse.Namespace, root: Path) -> int:
    """List, fetch or check weights; exit code 1 where one is absent or damaged."""
    for name in args.names:
        if name not in PUBLISHED:
            raise ParameterError(unknown("weights", name, PUBLISHED))
    if args.action == "fetch" and not args.names:
        raise ParameterError(f"name what to fetch: {', '.join(PUBLISHED)}")
    chosen = [PUBLISHED[name] for name in args.names or PUBLISHED]
    act = {"list": _list, "fetch": _fetch, "check": _check}[args.action]
    return max(act(weights) for weights in chosen)


def _list(weights: Published) -> int:
    files = weights.paths()
    size = weights.size or sum(path.stat().st_size for path in files)
    known = f"{size / 2**20:,.0f} MiB" if size else "size not known before it is here"
    say(f"{weights.name}: {weights.what}; {known}")
    say(f"  from     {weights.origin}")
    say(f"  sha256   {weights.sha256 or 'the one of the hub, kept when it is fetched'}")
    say(f"  licence  {weights.licence}")
    say(f"  {'here    ' if files else 'not here'} {weights.place}")
    return 0


def _fetch(weights: Published) -> int:
    say(f"{weights.name}: from {weights.origin} to {weights.place}")
    try:
        weights.fetch()
    except Exception as error:  # of torch.hub and the hub: whatever networks do
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return complain(f"{weights.name}: cannot be fetched ({reason})")
    return _check(weights)


def _check(weights: Published) -> int:
    faults = list(weights.faults())
    for fault in faults:
        complain(fault)
    if not faults:
        files = weights.paths()
        size = sum(path.stat().st_size for path in files) / 2**20
        say(f"{weights.name}: {len(files)} files, {size:,.1f} MiB, as they should be")
    return int(bool(faults))
