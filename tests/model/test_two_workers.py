"""Two processes predict as one: all rows on each of them, in their order."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tf_workers import free_ports, tf_config

from care_tf import CAREModel, keras_generation


@pytest.mark.slow
@pytest.mark.both_generations
def test_two_workers_predict_all_rows_in_their_order(tmp_path):
    """Rows of two files: workers that share out the files, and not the rows of each batch, mix them up."""
    (tmp_path / "worker.py").write_text(WORKER)
    for name, rows in (("first", range(3)), ("second", range(3, 11))):
        (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))
    workers, ports = [], free_ports(2)
    for index in range(2):
        command = [sys.executable, "worker.py", str(index)]
        environment = {**os.environ, "TF_CONFIG": tf_config(ports, index)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        workers.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes))
    try:
        said = [worker.communicate(timeout=240)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], said[0][-2000:]
    for index in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{index}.npy"), np.arange(11.0), atol=1e-5)


@pytest.mark.both_generations
@pytest.mark.parametrize(("policy", "expected"), [(None, "DATA"), ("FILE", "DATA"), ("OFF", "OFF"), ("HINT", "HINT")])
def test_a_data_set_that_says_how_it_is_shared_out_keeps_its_way(monkeypatch, policy, expected):
    policies, given = tf.data.experimental.AutoShardPolicy, []
    monkeypatch.setattr(keras.Model, "predict", lambda self, x: given.append(x))
    monkeypatch.setattr(keras_generation, "lacks_workers", lambda strategy: True)
    parts = [keras.layers.Conv2D(1, 1), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
    images = tf.data.Dataset.from_tensor_slices(np.zeros((3, 4, 4, 1), np.float32)).batch(2)
    if policy is not None:
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = policies[policy]
        images = images.with_options(options)
    CAREModel(keras.Sequential([keras.Input((4, 4, 1)), *parts])).predict(images)
    assert given[0].options().experimental_distribute.auto_shard_policy == policies[expected]


WORKER = """
import sys

import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras
import numpy as np
from care_tf import CAREModel

with strategy.scope():
    layers = keras.layers
    parts = [layers.Conv2D(1, 1, kernel_initializer="ones"), layers.GlobalAveragePooling2D()]
    parts.append(layers.Dense(1, kernel_initializer="ones"))
    model = CAREModel(keras.Sequential([keras.Input((4, 4, 1)), *parts]))
    model.compile("sgd", "mse", jit_compile=False)
rows = tf.data.TextLineDataset(["first", "second"]).map(lambda line: tf.strings.to_number(line))
images = rows.map(lambda number: tf.fill((4, 4, 1), number)).batch(4)
np.save(sys.argv[1], model.predict(images, verbose=0)[:, 0])
"""
