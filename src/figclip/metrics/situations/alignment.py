"""The best one-to-one alignment of two small sets.

Sets of a video's clusters have a handful of members each, so this is quicker than calling a library
for large ones, and needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf


def best_alignment(weights: Sequence[Sequence[float]]) -> float:
    """The largest sum of weights when each row has at most one column and each column one row.

    Args:
        weights: Rows of equal length, none negative; 0 for a pair that has nothing in common.

    Source:
        The Hungarian method with shortest augmenting paths: Jonker and Volgenant, "A Shortest
        Augmenting Path Algorithm for Dense and Sparse Linear Assignment Problems" (1987).
    """
    rows = [list(row) for row in weights]
    if not rows or not rows[0]:
        return 0.0
    best = [max(range(len(row)), key=row.__getitem__) for row in rows if any(row)]
    if len(set(best)) == len(best):
        return sum(map(max, rows))  # no two rows want the same column, as mostly
    if len(rows) > len(rows[0]):
        rows = [list(column) for column in zip(*rows, strict=True)]
    num_columns = len(rows[0])
    row_prices = [0.0] * len(rows)
    column_prices = [0.0] * num_columns
    row_of_column: list[int | None] = [None] * num_columns
    for start in range(len(rows)):
        _augment(
            rows,
            start,
            row_prices=row_prices,
            column_prices=column_prices,
            row_of_column=row_of_column,
        )
    return sum(rows[row][column] for column, row in enumerate(row_of_column) if row is not None)


def _augment(
    rows: list[list[float]],
    start: int,
    *,
    row_prices: list[float],
    column_prices: list[float],
    row_of_column: list[int | None],
) -> None:
    """Finds the cheapest way to give one more row a column, and moves the others for it."""
    num_columns = len(column_prices)
    distance = [inf] * num_columns
    came_from: list[int | None] = [None] * num_columns
    rest = set(range(num_columns))
    visited_rows, visited_columns = list[int](), list[int]()
    row, reached, last = start, 0.0, None
    while True:
        for column in rest:
            # Costs are negative weights: what is cheapest weighs most.
            cost = reached - rows[row][column] - row_prices[row] - column_prices[column]
            if cost < distance[column]:
                distance[column], came_from[column] = cost, last
        last = min(rest, key=distance.__getitem__)
        reached = distance[last]
        rest.remove(last)
        next_row = row_of_column[last]
        if next_row is None:
            break
        row = next_row
        visited_rows.append(row)
        visited_columns.append(last)
    row_prices[start] += reached
    # The last column was free: each other one led to the row that has it.
    for row, column in zip(visited_rows, visited_columns, strict=True):
        row_prices[row] += reached - distance[column]
        column_prices[column] -= reached - distance[column]
    column: int | None = last
    while column is not None:
        previous = came_from[column]
        row_of_column[column] = start if previous is None else row_of_column[previous]
        column = previous
