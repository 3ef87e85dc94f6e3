"""A run on shards is the run on files: weights, figures and pictures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from care_tf.data import read_manifest
from care_tf.data.shards import write_shards
from care_tf.errors import InputError
from care_tf.runs import evaluate_run, load_run, train_run
from care_tf.runs._example_maps import selected_rows
from care_tf.runs._run_predictions import evaluated, write_predictions
from care_tf.runs._training_rows import read_training_rows
from care_tf.serving import load
from care_tf.shard_place import find_place


@pytest.fixture
def shards(data, tmp_path):
    return write_shards(read_manifest(data), tmp_path / "shards", shard_bytes=20_000).manifest


@pytest.mark.parametrize("setting", [{"data__train_box_share": 0.5}, {"data__train_box_place": "random"}])
def test_boxes_are_drawn_on_shards_as_on_files(config, shards, setting):
    files = read_training_rows(config(**setting)).train
    own = read_training_rows(config(**setting, data__manifest=shards.source)).train
    assert files.has_boxes.any() and own.boxes.flat.tobytes() == files.boxes.flat.tobytes()
    np.testing.assert_array_equal(own.has_boxes, files.has_boxes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")
def test_weights_predictions_and_report_are_those_of_files(config, shards, eager, tmp_path):
    stages = {"finetune": {"epochs": 1, "alpha": 0.5}}
    settings = {"data__cache": None, "model__backbone": "tiny_network:build", "stages": stages}
    on_files = train_run(config("files", **settings), show_progress=False)
    on_shards = train_run(config("shards_run", **settings, data__manifest=shards.source), show_progress=False)
    weights = [load_run(folder).care_model.get_weights() for folder in (on_files, on_shards)]
    assert [array.tobytes() for array in weights[0]] == [array.tobytes() for array in weights[1]]
    evaluate_run(on_shards, num_resamples=20, check_images=2)
    table = pd.read_csv(on_shards / "predictions.csv")
    run = load_run(on_files)
    files = evaluated(run, selected_rows(run, "test", None, None, None, []), num_resamples=20, check_images=2)
    write_predictions(on_files, files.rows, files.predictions)
    expected = pd.read_csv(on_files / "predictions.csv")
    assert [Path(path).name for path in expected["image"]] == [Path(path).name for path in table["image"]]
    pd.testing.assert_frame_equal(expected.drop(columns="image"), table.drop(columns="image"))
    scores = json.loads((on_shards / "metrics.json").read_text())["scores"]
    assert scores == json.loads(json.dumps(files.scores.to_dict()))
    assert (on_shards / "report.html").read_text().count("data:image") > 5

    test = shards.select("test")
    found = load(on_shards).predict(list(test.image_paths[:2]))
    np.testing.assert_allclose(found, table[list(test.class_names)][:2], atol=1e-5)

    shard = Path(find_place(test.image_paths[0]).shard)
    contents = bytearray(shard.read_bytes())
    contents[find_place(test.image_paths[0]).offset + 300] ^= 1
    shard.write_bytes(contents)
    with pytest.raises(InputError, match=r"image/\S+: .*record.* damaged"):
        evaluate_run(on_shards, output=tmp_path / "again", num_resamples=20)
