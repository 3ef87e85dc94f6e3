"""An oracle for dilation and erosion."""

import numpy as np
import pytest


@pytest.fixture
def slow_spread():
    """(width - 1) / 2 rounds of an extreme over every pixel's 3 x 3 neighborhood, cut at the border."""

    def spread(values, width, extreme):
        height, length = values.shape
        for _ in range((width - 1) // 2):
            old = values
            rows = [[old[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2] for j in range(length)] for i in range(height)]
            values = np.array([[extreme(neighbors) for neighbors in row] for row in rows])
        return values

    return spread
