"""What `care train`, `evaluate` and `demo` hand to the runs; what becomes of it is tested in tests/runs."""

from pathlib import Path

import pytest

from care_tf.cli.demo import demo
from care_tf.cli.evaluate import evaluate
from care_tf.cli.train import train
from care_tf.runs.config import load_config


@pytest.fixture
def trained(monkeypatch):
    """(configuration, command line) of every run that was to be trained."""
    calls = []

    def train_run(config, command):
        calls.append((config, command))
        return Path(config.output)

    monkeypatch.setattr("care_tf.runs.train_run", train_run)
    return calls


def test_train_takes_changes_anywhere_and_records_the_command(run, trained):
    words = ("seed=3", "isic2018/care", "every_stage.loss=focal")
    code, out, _ = run(train, *words)
    assert (code, out) == (0, "wrote runs/isic2018/care; next: care evaluate runs/isic2018/care\n")
    assert trained == [(load_config("isic2018/care", ["seed=3", "every_stage.loss=focal"]), ["train", *words])]


def test_the_run_folder_of_a_training_is_an_option_and_a_change(run, refuses, trained):
    for words in (["--output", "a: #b 😀"], ["output='a: #b 😀'"]):
        assert run(train, "isic2018/care", *words)[0] == 0
    assert [config.output for config, _ in trained] == ["a: #b 😀"] * 2
    assert "Give the run folder once" in refuses(train, "isic2018/care", "--output", "a", "output=b")


def test_every_option_of_evaluate_arrives(run, monkeypatch, tmp_path):
    calls = []
    monkeypatch.chdir(tmp_path)
    Path("m.csv").touch()
    for folder in (Path("the_run"), Path("other")):
        folder.mkdir()
        (folder / "config.yaml").touch()
        (folder / "model.keras").touch()
    monkeypatch.setattr("care_tf.runs.evaluate_run", lambda *args, **options: calls.append((args, options)) or "good")
    options = (
        "--manifest m.csv --split test --folds 1,2 --baseline other --output out --resamples 5 --group cue "
        "--pairs pair --check-images 7"
    )
    assert run(evaluate, "the_run", *options.split()) == (0, "good\n", "")
    assert run(evaluate, *options.split(), "the_run") == (0, "good\n", "")
    given = {"manifest": Path("m.csv"), "split": "test", "folds": ["1", "2"], "baseline": Path("other")}
    given |= {"output": Path("out"), "num_resamples": 5, "group": "cue", "pairs": "pair", "check_images": 7}
    assert calls == [((Path("the_run"),), given)] * 2
    assert run(evaluate, "--folds", "1,2", "the_run")[0] == 0  # a list takes no further word


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["there", "--baseline", "nowhere"], "nowhere is not a run folder: it has no config.yaml"),
        (["unfinished"], "The run unfinished has not finished: it has no model.keras"),
        (["there", "--manifest", "none.csv"], "There is no manifest none.csv"),
    ],
)
def test_a_wrong_path_is_refused_before_tensorflow_starts(refuses, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    for name, files in (("there", ("config.yaml", "model.keras")), ("unfinished", ("config.yaml",))):
        Path(name).mkdir()
        for file in files:
            Path(name, file).touch()
    monkeypatch.setattr("care_tf.cli.evaluate.quiet_tensorflow", lambda: pytest.fail("TensorFlow starts"))
    assert message in refuses(evaluate, *words)


def test_the_demo_trains_both_runs_away_from_a_checkout(run, trained, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "care_tf.datasets.SyntheticLesions.write", lambda self, folder: Path(folder).mkdir(parents=True)
    )
    monkeypatch.setattr("care_tf.runs.evaluate_run", lambda care, baseline: f"{care} against {baseline}")
    monkeypatch.setattr("care_tf.runs.load_run", lambda folder: folder)
    monkeypatch.setattr("care_tf.cli.demo.write_saved_model", lambda run, folder: print(f"{run} to {folder}"))
    code, out, _ = run(demo, "--output", "here", "seed=2")
    assert code == 0 and "here/runs/care against here/runs/baseline\nhere/runs/care to here/saved_model\n" in out
    (care, _), (baseline, _) = trained
    assert [config.data.manifest for config in (care, baseline)] == ["here/data/manifest.csv"] * 2
    assert [(config.output, config.seed) for config in (care, baseline)] == [
        ("here/runs/care", 2),
        ("here/runs/baseline", 2),
    ]
    assert (care.stages[1].alpha, baseline.stages[1].alpha, baseline.stages[0].reuse) == (0.5, 0.0, "here/runs/care")


def test_the_demo_takes_no_configuration(refuses, tmp_path):
    assert "Received 'isic2018/care'" in refuses(demo, "isic2018/care")
    assert not list(tmp_path.iterdir())
