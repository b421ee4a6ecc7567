"""Array types and sentinels that several rooms share; each has its one home here.

The evaluator takes the types only: its sentinels are its own, as all of its code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NEVER = 2**60
"""Later than every cycle, above every cost; ``-NEVER`` is before everything. A sum of seven still is an int64."""
INFINITE = 2**48
"""Above every cost and every cycle where thousands of them are added up: times the strips of a grid still an int64."""
OUTSIDE = -1
"""The port to the outside world, where tiles or layers are expected (M1)."""
