"""From the name of a benchmark and a folder to its images, or to what is wrong there.

`readers/` has a module for each layout. A reader also decides which camera an image is
of, and so which gallery images the evaluation ignores for a query.
"""

from reidlib.benchmarks.catalog import PROTOCOLS, TERMS, TITLES, TRAINED_ON
from reidlib.benchmarks.checking import Report, check
from reidlib.benchmarks.counts import PUBLISHED, Counts, Tally, sizes
from reidlib.benchmarks.loading import (
    BENCHMARKS,
    is_drawn,
    load_benchmark,
    load_benchmarks,
    missing_data,
    read_market1501,
    training_fault,
)
from reidlib.benchmarks.readers.folders import DataError
from reidlib.benchmarks.readers.layouts import TREES

__all__ = [
    "BENCHMARKS",
    "PROTOCOLS",
    "PUBLISHED",
    "TERMS",
    "TITLES",
    "TRAINED_ON",
    "TREES",
    "Counts",
    "DataError",
    "Report",
    "Tally",
    "check",
    "is_drawn",
    "load_benchmark",
    "load_benchmarks",
    "missing_data",
    "read_market1501",
    "sizes",
    "training_fault",
]
