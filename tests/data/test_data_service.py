"""The recipe of docs/scaling.md: TensorFlow's data service gives the batches of one process, in their order."""

import numpy as np
import pytest
import tensorflow as tf

from care_tf.data import read_manifest, training_dataset
from care_tf.data.replica_share import ReplicaShare
from care_tf.data.shards import write_shards

service = tf.data.experimental.service


@pytest.fixture
def addresses():
    """Two services of one worker each."""
    dispatchers = [service.DispatchServer() for _ in range(2)]
    targets = [dispatcher.target for dispatcher in dispatchers]
    names = [target.removeprefix("grpc://") for target in targets]
    workers = [service.WorkerServer(service.WorkerConfig(dispatcher_address=name)) for name in names]
    yield targets
    del workers, dispatchers


@pytest.mark.slow  # in-process servers wait for the one thread that tests have
def test_two_services_of_one_worker_give_the_batches_of_one_process(image_folder, addresses):
    manifest = write_shards(read_manifest(image_folder / "manifest.csv"), image_folder / "shards").manifest

    def dataset(share=None):
        return training_dataset(manifest, (8, 12), 6, seed=1, first_epoch=0, share=share)

    streams = [dataset(ReplicaShare(number, 1, 2)) for number in range(2)]
    parts = [
        each.apply(service.distribute(service.ShardingPolicy.OFF, to))
        for each, to in zip(streams, addresses, strict=True)
    ]
    together = tf.data.Dataset.zip(tuple(parts)).map(
        lambda *parts: tf.nest.map_structure(lambda *rows: tf.concat(rows, axis=0), *parts)
    )
    num_batches = 4  # two epochs, the second batch of each with five images
    pairs = list(zip(together.take(num_batches), dataset().take(num_batches), strict=True))
    assert len(pairs) == num_batches
    for one, other in pairs:
        for given, expected in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_array_equal(given, expected)
