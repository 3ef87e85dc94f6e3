"""The compiled training step stays on the device: traced once, the last smaller batch included, without a host call."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from classifiers import SIZE, functional
from marks import one_generation

from care_tf import CAREModel
from care_tf.attention import gradcam
from care_tf.losses import TripletLoss
from care_tf.metrics import MeanClassAccuracy

pytestmark = pytest.mark.usefixtures("rewritten_graphs")

# Operations in which a step on an accelerator waits for Python, or for the processor's output.
HOST = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "Print", "PrintV2", "_XlaHostComputeMlir", "XlaHostCompute"}
FORMS = {
    "closed form": {},
    "nested tapes": {"head": "dense"},
    "first order": {"head": "dense", "second_order": False},
    "LayerCAM": {"cam": "layercam"},
    "two layers": {"attention_layer": ["conv_1", "last_relu"]},
    "embedding loss": {"embedding_loss": TripletLoss()},
}


def batches(num_images):
    """Images in batches of four."""
    random = np.random.default_rng(0)
    image = random.normal(size=(num_images, SIZE, SIZE, 3)).astype(np.float32)
    mask = np.zeros((num_images, SIZE, SIZE, 1), np.float32)
    mask[::2, 2:6, 3:7] = 1
    return tf.data.Dataset.from_tensor_slices(({"image": image, "mask": mask}, np.arange(num_images) % 3)).batch(4)


class Watched(CAREModel):
    """Keeps the graph of every trace of its step."""

    graphs = ()

    def train_step(self, data):
        self.graphs = (*self.graphs, tf.compat.v1.get_default_graph())
        return super().train_step(data)


def fitted(head="pooled", classifier=None, jit_compile=False, num_images=10, **arguments):
    """A model after two fits of two epochs, and how often its step was traced in the first and in both."""
    model = Watched(classifier or functional(head=head), **arguments)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[MeanClassAccuracy(3)], jit_compile=jit_compile)
    traces = []
    for _ in range(2):
        losses = model.fit(batches(num_images), epochs=2, verbose=0, shuffle=False).history["loss"]
        traces.append(len(model.graphs))
    assert np.isfinite(losses).all()
    return model, traces


def small_classifier():
    image = keras.Input((SIZE, SIZE, 3))
    features = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(
        image, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(features))
    )


def operations(graph):
    """The kinds of all operations of the whole function that a trace belongs to, and of all that it calls."""
    while getattr(graph, "outer_graph", None) is not None and graph.outer_graph.building_function:
        graph = graph.outer_graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return {node.op for node in nodes}


@pytest.mark.parametrize(
    "form", ["nested tapes", "two layers", *one_generation("closed form", "first order", "LayerCAM", "embedding loss")]
)
def test_the_step_is_traced_once_and_never_calls_the_host(form):
    model, traces = fitted(**FORMS[form])
    assert traces == [1, 1]
    found = operations(model.graphs[0])
    assert found & {"Conv2D", "Conv2DBackpropFilter"} and not found & HOST


@pytest.mark.one_generation
def test_a_host_call_would_be_seen():
    def printing(features, gradients):
        with tf.control_dependencies([tf.print("", end="")]):
            return gradcam(features, gradients)

    model, _ = fitted(cam=printing)
    assert "PrintV2" in operations(model.graphs[0])


def profiled(model, folder):
    """How often TensorFlow's profiler saw each kind of operation, and calls of functions, in three batches."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    tf.profiler.experimental.start(str(folder))
    model.fit(batches(10), epochs=1, verbose=0, shuffle=False)
    tf.profiler.experimental.stop()
    (file,) = folder.glob("**/*.xplane.pb")
    found = collections.Counter()
    for plane in xplane_pb2.XSpace.FromString(file.read_bytes()).planes:
        names = [plane.event_metadata[event.metadata_id].name for line in plane.lines for event in line.events]
        found.update(name.rpartition(":")[2] for name in names)  # an operation is NAME:KIND
    return found


@pytest.mark.parametrize("form", ["nested tapes", *one_generation("closed form", "two layers")])
def test_in_a_profile_a_batch_is_one_call_that_never_waits_for_python(form, tmp_path):
    model, _ = fitted(**FORMS[form])
    found = profiled(model, tmp_path)
    assert found["FunctionRun"] == 3
    assert any("Conv2DBackpropFilter" in kind for kind in found) and not HOST & found.keys()
    assert len(model.graphs) == 1


class OfTheHost(keras.metrics.Mean):
    """A metric that asks Python in every batch."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        value = tf.numpy_function(lambda number: number, [tf.reduce_mean(y_pred)], tf.float32)
        super().update_state(tf.ensure_shape(value, ()))


def test_a_profile_shows_a_metric_that_asks_python(tmp_path):
    model = CAREModel(functional(head="dense"))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[OfTheHost()], jit_compile=False)
    found = profiled(model, tmp_path)
    assert sum(found[kind] for kind in HOST) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_float16", marks=pytest.mark.both_generations), "mixed_bfloat16"]
)
def test_sixteen_bits_train_under_xla(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        # XLA compiles each size of a batch, for seconds even where a network is small: one policy has two sizes.
        num_images = 6 if policy == "mixed_float16" else 8
        _, traces = fitted(classifier=small_classifier(), jit_compile=True, num_images=num_images)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert traces == [1, 1]
