"""The benchmarks by name: pictures, titles, protocol rules, terms of use, training.

The terms, and what is intended, are those of DATASETS.md, word by word.
"""

from reidlib import pedestrians, rendered

PICTURES = {
    "drawn": "drawn pedestrians",
    "rendered": "rendered people",
    "photographs": "photographs",
}
MADE_HERE = {
    **dict.fromkeys(pedestrians.RECIPES, "drawn"),
    **dict.fromkeys(rendered.RECIPES, "rendered"),
}
TITLES = {
    "cuhk03np_detected": "CUHK03-NP detected",
    "cuhk03np_labeled": "CUHK03-NP labeled",
    "dukemtmcreid": "DukeMTMC-reID",
    "market1501": "Market-1501",
    "msmt17": "MSMT17 V1",
    "msmt17_trainval": "MSMT17 V1, trained with the validation list",
    "msmt17_v2": "MSMT17 V2",
    "msmt17_v2_trainval": "MSMT17 V2, trained with the validation list",
    "occluded_duke": "Occluded-Duke",
    "occluded_reid": "Occluded-REID",
    "p_dukemtmcreid": "P-DukeMTMC-reID",
    "partial_ilids": "Partial-iLIDS",
    "partial_reid": "Partial-REID",
} | {name: f"the {PICTURES[kind]} {name}" for name, kind in MADE_HERE.items()}

_SAME_CAMERA = (
    "Images of a query's own identity from its own camera are ignored. mAP and CMC at"
    " ranks 1, 5, 10 and 20."
)
_MARKET_RULES = (
    f"{_SAME_CAMERA} Junk (pid -1) is left out; distractors (pid 0) are wrong answers."
)
_OCCLUDED_DUKE_RULES = (
    f"{_SAME_CAMERA} 1,870 queries are gallery images as well: this rule takes each"
    " out of its own search."
)
_TWO_CAMERAS = (
    "Every query is of camera 0 and every gallery image of camera 1, whatever its name"
    " says, so that nothing is ignored. mAP and CMC at ranks 1, 3, 5 and 10."
)
PROTOCOLS = dict.fromkeys(TITLES, _SAME_CAMERA) | {
    "market1501": _MARKET_RULES,
    "occluded_duke": _OCCLUDED_DUKE_RULES,
    **dict.fromkeys(("occluded_reid", "p_dukemtmcreid"), _TWO_CAMERAS),
    **dict.fromkeys(("partial_ilids", "partial_reid"), _TWO_CAMERAS),
    **dict.fromkeys(MADE_HERE, _MARKET_RULES),
}
PROTOCOLS["own"] = (
    f"{_SAME_CAMERA} Where camid is empty, only the query itself is ignored. Counts are"
    " shown, not compared; distractors of the layout with folders (pid 0) are wrong"
    " answers, junk (pid -1) is left out."
)
USE = (
    "Intended: to check published methods, to teach how re-identification is measured,"
    " and to study when it fails, on drawn pedestrians and on lawfully held research"
    " data.",
    "Not intended: surveillance, tracking or identifying people without their"
    " knowledge, biometric profiling, and any decision about a person.",
)
_ACADEMIC = "For academic research."
_MARKET_TERMS = "For academic research, under the terms of its authors."
_MSMT17_TERMS = (
    "For academic research, given on a signed agreement. V2 has blurred faces and gives"
    " lower scores than V1: a result must always say which one it is."
)
_DUKE_TERMS = (
    "DukeMTMC was withdrawn by its authors in 2019: the people in it had not agreed to"
    " be in it, and this set derives from it. The reader is there to compare with the"
    " papers, for holders of lawful copies whose institution allows the use. For new"
    " work, choose another set."
)
_SIGNED = "For academic and educational use, given on a signed agreement."
TERMS = dict.fromkeys(TITLES, _ACADEMIC) | {
    "dukemtmcreid": _DUKE_TERMS,
    "market1501": _MARKET_TERMS,
    "occluded_duke": _DUKE_TERMS,
    "occluded_reid": _SIGNED,
    "p_dukemtmcreid": f"{_DUKE_TERMS} {_SIGNED}",
    **{name: _MSMT17_TERMS for name in TITLES if name.startswith("msmt17")},
    **{
        name: f"{kind.capitalize()} here: no person was photographed."
        for name, kind in MADE_HERE.items()
    },
}
TERMS["own"] = (
    "Yours: the people in it have to know and agree, as DATASETS.md says. Runs on it"
    " are treated as photographs, which git ignores."
)
TRAINED_ON = {  # benchmarks without training images, and where papers train for them
    "occluded_reid": ("market1501", "cuhk03np_labeled"),  # FLN, RGA; FBA-16
    "partial_ilids": ("market1501",),
    "partial_reid": ("market1501",),
}


def title_of(name: str) -> str:
    """What a benchmark is called in tables.

    >>> title_of("msmt17"), title_of("own:crops"), title_of("own")
    ('MSMT17 V1', 'your own data (crops)', 'your own data')
    """
    kind, _, word = name.partition(":")
    if kind == "own":
        return f"your own data ({word})" if word else "your own data"
    return TITLES[name]
