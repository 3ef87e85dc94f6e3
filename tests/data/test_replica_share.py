import numpy as np
import pytest
import tensorflow as tf

from care_tf.data import Augmentation, evaluation_dataset, read_manifest, training_dataset
from care_tf.data.replica_share import ReplicaShare, loaded_batches


@pytest.mark.parametrize(("num_images", "batch_size"), [(13, 5), (12, 4), (1, 4), (7, 2), (8, 100)])
@pytest.mark.parametrize("counts", [(2,), (1, 1), (2, 2), (3,)])
def test_shares_make_up_every_batch_in_order(num_images, batch_size, counts):
    total, firsts = sum(counts), np.cumsum((0, *counts[:-1]))
    shares = [ReplicaShare(int(first), count, total) for first, count in zip(firsts, counts, strict=True)]
    own = []  # of each replica its batches
    for share in shares:
        places, is_own = share.places(num_images, batch_size)
        batches = [row[mine].tolist() for row, mine in zip(places, is_own, strict=True)]
        own += [batches[replica :: share.count] for replica in range(share.count)]
        assert places.max() < num_images
    batches = list(zip(*own, strict=True))
    assert [[place for part in parts for place in part] for parts in batches] == [
        list(range(start, min(start + batch_size, num_images))) for start in range(0, num_images, batch_size)
    ]
    assert all(max(map(len, parts)) - min(map(len, parts)) <= 1 for parts in batches)


def test_a_replica_may_have_no_image_of_a_batch():
    batches = loaded_batches(tf.range(5), 5, 4, lambda index: (index, {"double": 2 * index}), ReplicaShare(0, 1, 2))
    assert [batch.numpy().tolist() for batch, _ in batches] == [[0, 1], []]
    assert [further["double"].numpy().tolist() for _, further in batches] == [[0, 2], []]


def test_data_sets_of_shares_are_those_of_whole_batches(image_folder):
    manifest = read_manifest(image_folder / "manifest.csv")

    def training(share):
        options = {"seed": 3, "augmentation": Augmentation(), "first_epoch": 1, "share": share}
        return training_dataset(manifest, (10, 20), 4, **options).take(3 if share is None else 3 * share.count)

    def evaluation(share):
        return evaluation_dataset(manifest, (10, 20), 4, masks=True, share=share)

    for make in (training, evaluation):
        whole = list(make(None))
        parts = list(make(ReplicaShare(0, 2, 3))), list(make(ReplicaShare(2, 1, 3)))
        for number, (x, y) in enumerate(whole):
            own = [*parts[0][2 * number : 2 * number + 2], parts[1][number]]
            np.testing.assert_array_equal(np.concatenate([labels for _, labels in own]), y)
            for key in ("image", "mask"):
                given = np.concatenate([given[key] for given, _ in own])
                np.testing.assert_allclose(given, x[key], rtol=0, atol=1e-4)  # augmentation rounds by batch size
