"""The arguments of tools/compare.py; what it does with them is tested in tests/runs/test_comparison.py."""

import pytest
from compare import main

from care_tf.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml", "--folds", "1, 2", "--seeds", "0,1", "with=other.yaml"], "missing.yaml cannot be read"),
        (["title=x"], "Name at least one configuration"),
        (["a.yaml", "output=here"], "Give --output FOLDER instead"),
        (["a.yaml", "seed=1", "--seeds", "2"], "Both --seeds and seed= were given"),
        (["a.yaml", "--seeds", "1,x"], "--seeds must be whole numbers, at least 0.*'1,x'"),
        (["a.yaml", "--seeds=-1"], "--seeds must be whole numbers"),
        (["a.yaml", "--resamples", "0"], "--resamples must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        main(arguments)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output .*file/x cannot be written to"):
        main(["a.yaml", "--output", str(tmp_path / "file" / "x")])
