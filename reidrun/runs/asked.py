"""What an ablation asks of its runs: the claims of a paper, and what they need."""

from typing import Literal

from pydantic import BaseModel


class Need(BaseModel, extra="forbid"):
    """What a measure of every run must show before a claim on its row is judged.

    of             the rows that are asked: those of the claim
    below, above   a number, or the name of another measure of the same run
    why            what is the case where it does not hold
    """

    measure: str
    of: Literal["ours", "other", "both"] = "ours"
    below: float | str | None = None
    above: float | str | None = None
    why: str


class Claim(BaseModel, extra="forbid"):
    """A sentence of the paper that two variants can bear out: `ours` is the better.

    needs   by name, of those that the ablation lists
    """

    ours: str
    other: str
    metric: Literal["mAP", "rank1"] = "mAP"
    says: str
    needs: list[str] = []
