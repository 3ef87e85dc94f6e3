import re

from care_tf.cli.configs import configs
from care_tf.cli.train import train
from care_tf.runs.config import load_config
from care_tf.runs.named_configs import config_names


def test_all_are_listed_with_what_they_are(run):
    code, out, _ = run(configs)
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == config_names()
    assert any(re.match(r"isic2018/care_csl +CARE with cost-sensitive learning\.", line) for line in out.splitlines())


def test_show_prints_what_is_trained(run, tmp_path):
    code, out, _ = run(configs, "show", "seed=4", "isic2018/care_csl", "with=hardware/squeezenet_two_cores")
    assert code == 0
    (tmp_path / "shown.yaml").write_text(out)
    assert load_config("shown.yaml") == load_config(
        "isic2018/care_csl", ["seed=4", "with=hardware/squeezenet_two_cores"]
    )


def test_a_wrong_name_suggests_the_nearest(refuses):
    assert "Did you mean 'isic2018/care_csl'?" in refuses(configs, "show", "isic2018/car_csl")
    assert "Did you mean 'isic2018/care_csl'?" in refuses(train, "isic2018/care_cls.yaml")


def test_train_takes_one_configuration(refuses):
    assert "Received none" in refuses(train, "seed=1")
    assert "Received isic2018/care, isic2018/csl" in refuses(train, "isic2018/care", "isic2018/csl")
