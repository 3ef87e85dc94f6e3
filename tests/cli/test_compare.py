"""The arguments of `care compare`; what it does with them is tested in tests/runs/test_comparison_runs.py."""

import pytest

from care_tf.cli.compare import compare, run_comparison


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml", "--folds", "1, 2", "--seeds", "0,1"], "Received missing.yaml, which is neither"),
        (["isic2018/care", "with=missing"], "Received missing, which is neither"),
        (["isic2018/care", "isic2018/car"], "Did you mean 'isic2018/care'?"),
        (["title=x"], "Name at least one configuration"),
        (["a.yaml", "output=here"], "Give --output FOLDER instead"),
        (["seed=1", "a.yaml", "--seeds", "2"], "Both --seeds and seed= were given"),
        (["a.yaml", "--seeds", "1,x"], "must be whole numbers, at least 0, separated by commas. Received '1,x'"),
        (["a.yaml", "--seeds=-1"], "must be whole numbers"),
        (["a.yaml", "--vary", "care.tau"], "--vary takes KEY=VALUE,VALUE with different values. Received 'care.tau'"),
        (["a.yaml", "--vary", "care.tau=.2,.2"], "--vary takes KEY=VALUE,VALUE"),
        (["a.yaml", "--vary", "care.tau=.5,0.5"], "--vary takes KEY=VALUE,VALUE with different values"),
        (["a.yaml", "--vary", "care.lam=1,1.0"], "--vary takes KEY=VALUE,VALUE with different values"),
        (["a.yaml", "care.tau=.5", "--vary", "care.tau=.2,.7"], "care.tau varies over .2, .7, so care.tau= cannot set"),
        (["a.yaml", "--vary", "care.tau=.2", "--vary", "care.tau=.7"], "--vary must name care.tau once"),
        (["a.yaml", "--vary", "seed=1,2"], "--vary cannot change seed"),
        (["a.yaml", "--resamples", "0"], "Invalid value for '--resamples'"),
    ],
)
def test_bad_arguments_are_refused(refuses, tmp_path, arguments, message):
    assert message in refuses(compare, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_refused(refuses, tmp_path):
    (tmp_path / "file").touch()
    assert "--output file/x cannot be written to" in refuses(compare, "isic2018/care", "--output", "file/x")


def test_configurations_may_stand_behind_folds(refuses):
    """Where many configurations may follow, --folds takes one word, so that it does not take them for folds."""
    message = refuses(compare, "--folds", "1,2", "none/such", "--seeds", "0")
    assert "Received none/such, which is neither" in message


def test_the_runs_asked_for_come_before_earlier_ones(monkeypatch, tmp_path):
    """Figures show the first that has what they need."""
    from care_tf.runs import comparison_plan, comparison_runs, earlier_runs

    monkeypatch.setattr(comparison_plan, "read_methods", lambda *_: {})
    monkeypatch.setattr(comparison_plan, "plan_cells", lambda *_: ["asked for"])
    monkeypatch.setattr(earlier_runs, "earlier_runs", lambda *_, **__: ({}, ["earlier"]))
    monkeypatch.setattr(comparison_runs, "write_tables", lambda *_: "")
    cells = run_comparison(None, ["isic2018/care"], [], {}, ["2"], [0], tmp_path, 5, True)
    assert cells == ["asked for", "earlier"]
