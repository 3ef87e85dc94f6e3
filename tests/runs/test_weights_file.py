import errno
import os

import keras
import numpy as np
import pytest

from care_tf.errors import InputError
from care_tf.files import atomic_path
from care_tf.runs._weights_file import save_weights


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(40)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_weights_and_optimizer_are_saved_in_less_room_than_was_taken(model, tmp_path, monkeypatch):
    taken, fallocate = [], os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda *args: (taken.append(args[2]), fallocate(*args)))
    save_weights(model, tmp_path / "a.weights.h5")
    assert 3 * 4 * 50 * 40 < (tmp_path / "a.weights.h5").stat().st_size <= taken[0]
    before = model.get_weights()
    model.set_weights([np.zeros_like(each) for each in before])
    model.load_weights(str(tmp_path / "a.weights.h5"))
    for saved, loaded in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)


def test_a_full_disk_is_an_error_before_hdf5_writes(model, tmp_path, monkeypatch):
    def full(descriptor, start, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(model, "save_weights", lambda path: pytest.fail("written all the same"))
    path = tmp_path / "a.weights.h5"
    with pytest.raises(InputError, match="No space left"), atomic_path(path) as temporary:
        save_weights(model, temporary)
    assert os.listdir(tmp_path) == []
