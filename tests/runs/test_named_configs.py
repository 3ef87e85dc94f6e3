from pathlib import Path

import pytest

from care_tf.errors import InputError
from care_tf.runs.config import load_config
from care_tf.runs.named_configs import (
    comparison_folder,
    config_names,
    config_purpose,
    find_config,
    packaged_folder,
    refuse_former_folder,
    run_name,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Another folder than the checkout: names do not depend on where one stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["isic2018/care_csl", "isic2018/care_csl.yaml"])
def test_a_name_is_one_of_the_package_s_own(name):
    assert find_config(name) == packaged_folder() / "isic2018" / "care_csl.yaml"


def test_a_path_comes_before_a_name(folder):
    own = folder / "isic2018" / "care_csl.yaml"
    own.parent.mkdir()
    own.write_text("title: mine")
    assert find_config("isic2018/care_csl").samefile(own)
    assert find_config(own) == own
    assert find_config("care_csl", own.parent).samefile(own)
    (folder / "demo").mkdir()  # a folder is no configuration
    assert find_config("demo") == packaged_folder() / "demo.yaml"


def test_the_package_may_hold_the_configurations(folder, monkeypatch):
    """As in a wheel."""
    package = folder / "site-packages" / "care_tf"
    (package / "configs" / "set").mkdir(parents=True)
    (package / "configs" / "set" / "a.yaml").write_text("# What it is.\n# More.\ntitle: a\n")
    monkeypatch.setattr("care_tf.runs.named_configs.__file__", str(package / "runs" / "named_configs.py"))
    assert config_names() == ["set/a"]
    assert config_purpose("set/a") == "What it is."
    assert run_name(find_config("set/a")) == Path("set/a")


def test_a_wrong_name_is_refused_with_the_nearest():
    message = "Received rsna/basline, which is neither. Did you mean 'rsna/baseline'[?]"
    with pytest.raises(InputError, match=message):
        find_config("rsna/basline")
    with pytest.raises(InputError, match=r"which is neither\.$"):
        find_config("zzz")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("configs/isic2018/baseline.yaml", "isic2018/baseline"),
        ("/a/configs/b/configs/c/d.yaml", "c/d"),
        ("/a/configs/demo.yaml", "demo"),
        ("/a/mine/experiment.yaml", "experiment"),
        ("/a/configs.yaml", "configs"),
    ],
)
def test_runs_are_called_by_the_path_below_configs(path, name):
    assert run_name(path) == Path(name)


def test_the_data_set_is_in_the_default_folders(folder):
    assert load_config("isic2018/baseline").output == "runs/isic2018/baseline"
    assert load_config("rsna/baseline").output == "runs/rsna/baseline"
    assert comparison_folder(["rsna/baseline", "rsna/care"]) == Path("runs/rsna/comparison")
    assert comparison_folder(["rsna/baseline", "isic2018/care"]) == Path("runs/comparison")
    (folder / "mine.yaml").write_text("extends: rsna/baseline")
    assert load_config("mine.yaml").output == "runs/mine"
    assert comparison_folder(["mine"]) == Path("runs/comparison")


def test_a_file_may_extend_and_be_changed_by_the_package_s_own(folder):
    (folder / "mine.yaml").write_text("extends: isic2018/care_csl\nseed: 5")
    config = load_config("mine", ["with=hardware/squeezenet_two_cores"])
    assert (config.seed, config.model.backbone, config.stages[1].alpha) == (5, "squeezenet1_1", 0.5)


@pytest.mark.parametrize("name", config_names())
def test_a_header_starts_with_one_whole_sentence(name):
    purpose = config_purpose(name)
    assert purpose.endswith((".", ":")) and len(purpose) <= 110  # a line of `care configs`


def test_a_run_in_the_former_default_folder_is_pointed_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_former_folder("runs/isic2018/care")
    (tmp_path / "runs" / "care").mkdir(parents=True)
    refuse_former_folder("runs/isic2018/care")
    (tmp_path / "runs" / "care" / "config.yaml").touch()
    refuse_former_folder("runs/care")
    with pytest.raises(InputError, match="Give output=runs/care to continue it, or output=runs/isic2018/care"):
        refuse_former_folder("runs/isic2018/care")
    (tmp_path / "runs" / "isic2018" / "care").mkdir(parents=True)
    refuse_former_folder("runs/isic2018/care")
