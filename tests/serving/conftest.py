"""Exported graphs are rewritten as they are for users, who load them with TensorFlow as it is."""

import sys

import pytest


@pytest.fixture(scope="module", autouse=True)
def graphs_as_users_have_them():
    """Before a module's exports are made and loaded, which fixtures of modules do."""
    if "tensorflow" not in sys.modules:  # the module's tests do not use it: spare them the seconds of its import
        yield
        return
    from graph_rewriting import rewritten_graphs

    with rewritten_graphs():
        yield
