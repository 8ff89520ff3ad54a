"""A part of the grid is evenly spread, and a longer part contains the shorter."""

from __future__ import annotations

import numpy as np
import pytest

from studies.space import Space, spread


@pytest.mark.parametrize("sides", [(85, 271), (40, 21), (64, 32), (3, 4), (1, 7), (7, 1)])
def test_more_cells_contain_the_fewer(sides: tuple[int, int]) -> None:
    space = Space(tuple(range(1, sides[0] + 1)), tuple(float(xi) for xi in range(1, sides[1] + 1)))
    everything = space.cells()
    place = {cell: index for index, cell in enumerate(everything)}
    counts = [*range(1, min(40, len(everything))), len(everything) // 2, len(everything) - 1, len(everything)]
    before: set[tuple[int, float]] = set()
    for count in sorted(set(counts)):
        cells = space.cells(count)
        assert len(set(cells)) == len(cells) == count
        assert before <= set(cells)
        assert cells == sorted(cells, key=place.__getitem__)
        before = set(cells)
    assert space.cells(None) == everything == [(kappa, xi) for xi in space.xis for kappa in space.kappas]


@pytest.mark.parametrize("count", [4, 7, 12, 20, 50, 133, 1000])
def test_any_number_of_cells_is_spread_over_both_axes(count: int) -> None:
    space = Space()
    cells = space.cells(count)
    for side, values in enumerate((space.kappas, space.xis)):
        places = np.sort([values.index(cell[side]) / len(values) for cell in cells])
        gaps = np.diff(np.concatenate([[0], places, [1]]))
        assert gaps.max() <= 3 / count + 2 / len(values)


def test_a_plain_sequence_is_spread_over_its_order() -> None:
    cells = list(range(60))
    shorter, longer = spread(cells, 6), spread(cells, 20)
    assert set(shorter) < set(longer)
    assert max(np.diff(longer)) <= 8
