"""On which images a decision may be chosen; what is chosen is tested in tests/evaluation, and by whole runs."""

import warnings

import pytest

from care_tf.data import read_manifest
from care_tf.errors import InputError
from care_tf.runs.run_calibration import _check_unseen


def test_copies_of_training_images_are_refused_and_groups_and_doubt_are_said(seen_run, elsewhere):
    rows = read_manifest(elsewhere)
    with pytest.raises(InputError, match="Received 1 of 4 that it was, such as .*0.png. Choose other"):
        _check_unseen(seen_run, rows)
    with pytest.warns(UserWarning, match="patients or lesions of 1 of 3 images"):
        _check_unseen(seen_run, rows.subset([1, 2, 3]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _check_unseen(seen_run, rows.subset([1, 3]))
    (seen_run.folder / "environment.json").write_text("{}")
    with pytest.warns(UserWarning, match="It cannot be told which images .*have changed since"):
        _check_unseen(seen_run, rows.subset([1, 3]))
