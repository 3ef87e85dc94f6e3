"""The recipe of docs/scaling.md: TensorFlow's data service gives the batches of one process, in their order."""

import numpy as np
import pytest
import tensorflow as tf

from care_tf.data import Augmentation, read_manifest, training_dataset
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


def test_two_services_of_one_worker_give_the_batches_of_one_process(image_folder, addresses):
    manifest = write_shards(read_manifest(image_folder / "manifest.csv"), image_folder / "shards").manifest

    def dataset(share=None):
        options = {"first_epoch": 0, "share": share, "augmentation": Augmentation(brightness=0, contrast=0)}
        return training_dataset(manifest, (8, 12), 4, seed=1, **options)

    shares = [ReplicaShare(number, 1, 2) for number in range(2)]
    parts = [
        dataset(share).apply(service.distribute("off", each)) for share, each in zip(shares, addresses, strict=True)
    ]
    together = tf.data.Dataset.zip(tuple(parts)).map(
        lambda *parts: tf.nest.map_structure(lambda *rows: tf.concat(rows, axis=0), *parts)
    )
    num_batches = 6  # two epochs of three, the last of each with three images
    pairs = list(zip(together.take(num_batches), dataset().take(num_batches), strict=True))
    assert len(pairs) == num_batches
    for one, other in pairs:
        for given, expected in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            np.testing.assert_array_equal(given, expected)
