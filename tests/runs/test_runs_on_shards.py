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
from care_tf.serving import load
from care_tf.shard_place import find_place


@pytest.fixture
def shards(data, tmp_path):
    return write_shards(read_manifest(data), tmp_path / "shards", shard_bytes=20_000).manifest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:CARE trained no attention")
def test_weights_predictions_and_report_are_those_of_files(config, shards, tmp_path):
    on_files = train_run(config("files", data__cache=None), show_progress=False)
    on_shards = train_run(config("shards_run", data__cache=None, data__manifest=shards.source), show_progress=False)
    weights = [load_run(folder).care_model.get_weights() for folder in (on_files, on_shards)]
    assert [array.tobytes() for array in weights[0]] == [array.tobytes() for array in weights[1]]
    for folder in (on_files, on_shards):
        evaluate_run(folder, num_resamples=20)
    tables = [pd.read_csv(folder / "predictions.csv") for folder in (on_files, on_shards)]
    assert [Path(path).name for path in tables[0]["image"]] == [Path(path).name for path in tables[1]["image"]]
    pd.testing.assert_frame_equal(tables[0].drop(columns="image"), tables[1].drop(columns="image"))
    scores = [json.loads((folder / "metrics.json").read_text())["scores"] for folder in (on_files, on_shards)]
    assert scores[0] == scores[1]
    pages = [(folder / "report.html").read_text() for folder in (on_files, on_shards)]
    assert pages[0].count("data:image") == pages[1].count("data:image") > 5

    test = shards.select("test")
    found = load(on_shards).predict(list(test.image_paths[:2]))
    np.testing.assert_allclose(found, tables[1][list(test.class_names)][:2], atol=1e-5)

    shard = Path(find_place(test.image_paths[0]).shard)
    contents = bytearray(shard.read_bytes())
    contents[find_place(test.image_paths[0]).offset + 300] ^= 1
    shard.write_bytes(contents)
    with pytest.raises(InputError, match=r"image/\S+: .*record.* damaged"):
        evaluate_run(on_shards, output=tmp_path / "again", num_resamples=20)
