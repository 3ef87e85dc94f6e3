"""The metrics inside Keras's own fit: the same values as scikit-learn gives on `predict`."""

import keras
import numpy as np
import pytest
from marks import one_generation
from sklearn.metrics import balanced_accuracy_score, recall_score, roc_auc_score

from care_tf.metrics import ClassRecall, MacroAUC, MeanClassAccuracy


def _data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 5)).astype(np.float32), rng.integers(0, 3, 40)


def _model(**compile_arguments):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="softmax")])
    metrics = [MeanClassAccuracy(), ClassRecall(1), ClassRecall(2, name="rare"), MacroAUC(3)]
    arguments = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": metrics}
    model.compile(**arguments | compile_arguments)
    return model


def _expected(model, x, y):
    probabilities = model.predict(x, verbose=0)
    predicted = probabilities.argmax(axis=1)
    return {
        "mean_class_accuracy": balanced_accuracy_score(y, predicted),
        "recall_class_1": recall_score(y, predicted, labels=[1], average=None)[0],
        "rare": recall_score(y, predicted, labels=[2], average=None)[0],
        "macro_auc": roc_auc_score(y, probabilities, multi_class="ovr"),
    }


@pytest.mark.usefixtures("rewritten_graphs")
@pytest.mark.parametrize("arguments", [*one_generation({}, {"run_eagerly": True}), {"steps_per_execution": 2}], ids=str)
def test_fit_and_evaluate_equal_scikit_learn(arguments):
    x, y = _data()
    model = _model(**arguments)
    fit_arguments = {
        "batch_size": 20,
        "epochs": 2,
        "verbose": 0,
        "validation_data": (x, y),
        "validation_batch_size": 20,
    }
    history = model.fit(x, y, **fit_arguments).history
    found = model.evaluate(x, y, batch_size=20, verbose=0, return_dict=True)
    for name, value in _expected(model, x, y).items():
        assert found[name] == pytest.approx(value, abs=1e-5)
        assert history[f"val_{name}"][-1] == pytest.approx(value, abs=1e-5)
        assert np.isscalar(history[name][-1])


@pytest.mark.one_generation
def test_one_hot_labels_in_fit():
    x, y = _data()
    model = _model(loss="categorical_crossentropy")
    found = model.evaluate(x, np.eye(3)[y], verbose=0, return_dict=True)
    for name, value in _expected(model, x, y).items():
        assert found[name] == pytest.approx(value, abs=1e-5)


def test_callbacks_monitor_them_and_the_saved_model_goes_on(tmp_path):
    x, y = _data()
    model = _model()
    best = str(tmp_path / "best.keras")
    callbacks = [
        keras.callbacks.ModelCheckpoint(best, monitor="val_macro_auc", mode="max", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_mean_class_accuracy", mode="max", patience=5),
        keras.callbacks.BackupAndRestore(str(tmp_path / "backup")),
    ]
    history = model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=callbacks).history
    restored = keras.models.load_model(best)
    found = restored.evaluate(x, y, verbose=0, return_dict=True)
    assert found["macro_auc"] == pytest.approx(max(history["val_macro_auc"]), abs=1e-5)
    assert found["mean_class_accuracy"] == pytest.approx(_expected(restored, x, y)["mean_class_accuracy"], abs=1e-5)
    restored.fit(x, y, verbose=0)


def test_xla_step_counts_the_same():
    x, y = _data()
    model = _model(metrics=[MeanClassAccuracy(), ClassRecall(1)], jit_compile=True)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    expected = _expected(model, x, y)
    assert found["mean_class_accuracy"] == pytest.approx(expected["mean_class_accuracy"], abs=1e-5)
    assert found["recall_class_1"] == pytest.approx(expected["recall_class_1"], abs=1e-5)


def test_macro_auc_under_xla_says_what_to_do():
    x, y = _data()
    model = _model(metrics=[MacroAUC(3)], jit_compile=True)
    with pytest.raises(Exception, match="MacroAUC keeps all predictions"):
        model.fit(x, y, verbose=0)
