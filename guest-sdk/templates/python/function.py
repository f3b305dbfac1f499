"""Standardises the columns of a table, as is usual before a model sees it."""

from math import sqrt

from samara_sdk import FP32, Error, function


@function(
    inputs={"rows": FP32[-1, -1]},
    outputs={"standardised": FP32[-1, -1], "mean": FP32[-1], "deviation": FP32[-1]},
)
def standardise(rows):
    """Shifts and scales each column to mean 0 and standard deviation 1, and says
    by how much. A constant column is only shifted."""
    table = rows.tolist()
    if not table:
        raise Error.invalid_input("input `rows`: there is no row; give at least one")
    columns = [standard(column) for column in zip(*table)]
    scaled, means, deviations = zip(*columns)
    return {"standardised": list(zip(*scaled)), "mean": means, "deviation": deviations}


def standard(column):
    mean = sum(column) / len(column)
    deviation = sqrt(sum((value - mean) ** 2 for value in column) / len(column))
    return [(value - mean) / (deviation or 1.0) for value in column], mean, deviation
