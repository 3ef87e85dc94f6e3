"""Marks that tests share."""

import pytest


def one_generation(*values):
    """Values of a parameter that only the current generation of Keras is tested with."""
    return [pytest.param(value, marks=pytest.mark.one_generation) for value in values]
