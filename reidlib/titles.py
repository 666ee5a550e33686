"""Which benchmarks there are, by name, and what they are called in tables."""

from reidlib.pedestrians import RECIPES

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
} | {name: f"the drawn pedestrians {name}" for name in RECIPES}
