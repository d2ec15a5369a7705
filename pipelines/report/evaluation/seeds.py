"""One metric over the seeds of a system."""

import numpy as np


def over_seeds(values):
    """Return ``{"seeds", "mean", "sd"}`` of a metric; seeds without a value (nan) count in neither mean nor sd.

    Example:

    >>> over_seeds([1.0, 3.0, float("nan")])
    {'seeds': [1.0, 3.0, nan], 'mean': 2.0, 'sd': 1.4142135623730951}
    """
    values = [float(value) for value in values]
    known = [value for value in values if not np.isnan(value)]
    return {
        "seeds": values,
        "mean": float(np.mean(known)) if known else float("nan"),
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else float("nan"),
    }
