"""From the name of a benchmark and a folder to its images, or to what is wrong there.

`readers/` has a module for each layout. A reader also decides which camera an image is
of, and so which gallery images the evaluation ignores for a query.
"""

from reidlib.benchmarks.catalog import (
    PICTURES,
    PROTOCOLS,
    TERMS,
    TITLES,
    TRAINED_ON,
    USE,
    title_of,
)
from reidlib.benchmarks.checking import Report, check
from reidlib.benchmarks.counts import PUBLISHED, Counts, Tally, sizes
from reidlib.benchmarks.loading import (
    BENCHMARKS,
    load_benchmark,
    load_benchmarks,
    pictures_of,
    read_market1501,
    training_fault,
    views_of,
)
from reidlib.benchmarks.presence import (
    knows_cameras,
    missing_data,
    unfit_for_training,
)
from reidlib.benchmarks.readers.folders import DataError
from reidlib.benchmarks.readers.layouts import TREES
from reidlib.benchmarks.readers.own import OWN, is_own, place_name

__all__ = [
    "BENCHMARKS",
    "OWN",
    "PICTURES",
    "PROTOCOLS",
    "PUBLISHED",
    "TERMS",
    "TITLES",
    "TRAINED_ON",
    "TREES",
    "USE",
    "Counts",
    "DataError",
    "Report",
    "Tally",
    "check",
    "is_own",
    "knows_cameras",
    "load_benchmark",
    "load_benchmarks",
    "missing_data",
    "pictures_of",
    "place_name",
    "read_market1501",
    "sizes",
    "title_of",
    "training_fault",
    "unfit_for_training",
    "views_of",
]
