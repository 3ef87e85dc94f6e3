"""What `care check-device` hands to the measurement."""

import pytest

from care_tf.cli.check_device import check_device


@pytest.fixture
def checked(monkeypatch):
    """(configuration, steps) of every check."""
    calls = []
    monkeypatch.setattr(
        "care_tf.runs.device_check.check_device", lambda config, steps, tell: calls.append((config, steps))
    )
    monkeypatch.setattr("care_tf.runs.device_report.device_report", lambda check: "the report")
    return calls


def test_options_are_changes_of_the_configuration(run, checked):
    words = ["isic2018/care", "--image-size", "64x48", "--batch-size", "4", "--steps", "3", "care.tau=.5"]
    assert run(check_device, *words) == (0, "the report\n", "")
    ((config, steps),) = checked
    assert (config.data.image_size_px, config.training.batch_size, config.care.tau, steps) == ((64, 48), 4, 0.5, 3)


def test_without_a_configuration_images_are_drawn(run, checked, tmp_path):
    assert run(check_device, "training.batch_size=7")[:2] == (0, "the report\n")
    ((config, steps),) = checked
    assert (config.model.backbone, config.training.batch_size, steps) == ("small_cnn", 7, None)
    assert not list(tmp_path.iterdir())


def test_bad_words_are_refused_in_one_line(refuses, checked):
    assert "Received isic2018/care, isic2018/csl" in refuses(check_device, "isic2018/care", "isic2018/csl")
    assert "Did you mean 'isic2018/care'" in refuses(check_device, "isic2018/caer")
    assert "--steps" in refuses(check_device, "--steps", "0")
