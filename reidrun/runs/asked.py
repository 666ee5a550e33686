"""What an ablation asks of its runs: rows, claims of the paper, and what they need."""

from typing import Any, Literal

from pydantic import BaseModel

FULL = "full"  # the variant without overrides


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


class Control(BaseModel, extra="forbid"):
    """A comparison that could explain a claim away, shown beside it.

    ours, other   rows in place of the claim's; "" for the claim's own
    search        how both are searched, in place of the paper's way
    """

    ours: str = ""
    other: str = ""
    search: str = ""


class Claim(BaseModel, extra="forbid"):
    """A sentence of the paper that two variants can bear out: `ours` is the better.

    needs   by name, of those that the ablation lists
    """

    ours: str
    other: str
    metric: Literal["mAP", "rank1"] = "mAP"
    says: str
    needs: list[str] = []
    control: Control | None = None


class Variant(BaseModel, extra="forbid"):
    """One row of an ablation: what differs, and how the paper prints the row.

    Without overrides it is the variant of that name in another ablation of the paper.
    at   by scale, what replaces the overrides there: sizes in pixels, for example
    """

    name: str
    row: str = ""
    overrides: dict[str, Any] | None = None
    at: dict[str, dict[str, Any]] = {}

    def differs(self, scale: str) -> dict[str, Any]:
        """What the variant changes at a scale."""
        return self.at.get(scale, self.overrides or {})


class Ablation(BaseModel, extra="forbid"):
    """A file params/ablations/<paper>_<what>.yaml: one table or figure of a paper.

    paper, table   as `published` names them; "" where the paper prints no numbers
    abroad         whether its claims are about scenes that were not trained on
    """

    paper: str = ""
    table: str = ""
    variants: list[Variant]
    claims: list[Claim] = []
    needs: dict[str, Need] = {}
    abroad: bool = False

    @property
    def compared(self) -> list[str]:
        """The rows that claims and their controls compare, in the order of the rows."""
        sides = [side for claim in self.claims for side in (claim, claim.control)]
        named = {name for side in sides if side for name in (side.ours, side.other)}
        return [variant.name for variant in self.variants if variant.name in named]
