"""The model and the batches of every stage, for this data and this network, before anything is trained."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from care_tf.backbones import get_backbone
from care_tf.data.activation_cache import flips_of
from care_tf.data.augmentation import Augmentation, augmented_classes
from care_tf.data.sampling import get_sampling
from care_tf.errors import InputError
from care_tf.keras_generation import seeded_initial_weights
from care_tf.losses import get_classification_loss, get_embedding_loss
from care_tf.losses.class_weights import class_weights
from care_tf.losses.outside_loss import OutsideLoss
from care_tf.model import CAREModel
from care_tf.model.care_model import EMBEDDING_MEANS, LOGGED_MEANS, MASK_MEANS
from care_tf.model.observed_classifier import ObservedClassifier
from care_tf.network.cutting import INPUT_ACTIVATION, cut_network
from care_tf.network.freezing import Freezer
from care_tf.network.last_dense import reinitialized
from care_tf.runs._configured_model import METRICS, care_model, compile_model, mask_head, observed_network
from care_tf.runs._own_pieces import own_metrics
from care_tf.runs._rebuilt_classifier import (
    check_classifier,
    compute_classifier,
    copy_logits,
    fold_scales,
    scaled_classifier,
)
from care_tf.runs._shared_images import SharedImages
from care_tf.runs._stage import Stage
from care_tf.runs._stage_batches import StageBatches
from care_tf.runs._training_rows import TrainingRows
from care_tf.runs.config import RunConfig
from care_tf.settings import setting_name

# Seeds of two stages of one run, or of runs with neighboring seeds, are this far apart, so that a stage sees the same
# batches however long the one before it took.
STAGE_SEED_STEP = 1_000_003

Step = Callable[[], None]
Cut = Callable[[ObservedClassifier, str], tuple[keras.Model, ObservedClassifier]]


@dataclasses.dataclass(frozen=True)
class PreparedStage:
    """A stage that has passed every check and can be trained.

    Attributes:
      settings: The stage as configured.
      model: Compiled, with a fresh optimizer, around the run's network or another one that shares its layers.
      batches: What it trains and validates on.
      begin: Steps that bring the network into the stage's form, from the weights that it then has.
      finish: Steps after the last epoch, before the classifier's weights are written; the last sets all layers free.
    """

    settings: Stage
    model: CAREModel
    batches: StageBatches
    begin: tuple[Step, ...] = ()
    finish: tuple[Step, ...] = ()


def prepare_stages(
    config: RunConfig, rows: TrainingRows, observed: ObservedClassifier, images: SharedImages
) -> list[PreparedStage]:
    """Builds and compiles what every stage trains; the network is traced once for all of them.

    Args:
      config: The run.
      rows: The rows to train and validate on.
      observed: The run's network, read. The stages change which of its layers train, and may rebuild its last one.
      images: Where decoded images and activations are kept.

    Returns:
      One per stage; all layers of the classifier train as its builder left them.

    Raises:
      InputError: A setting is unknown, out of range, contradicts another, or does not fit the data or the network.
    """
    freezer = Freezer(observed.classifier, observed.trace)
    cut = functools.cache(functools.partial(_cut, config))  # stages that cache the same activations share both parts
    prepared = []
    for index in range(len(config.stages)):
        prepared.append(_prepare(config, index, rows, observed, freezer, images, cut))
        freezer.unfreeze()
    return prepared


def _prepare(
    config: RunConfig,
    index: int,
    rows: TrainingRows,
    observed: ObservedClassifier,
    freezer: Freezer,
    images: SharedImages,
    cut: Cut,
) -> PreparedStage:
    stage, train, classifier = config.stages[index], rows.train, observed.classifier
    seed = config.seed + STAGE_SEED_STEP * index
    counts = list(train.class_counts.values())
    own = [metric.name for metric in own_metrics(config, train.class_names)]
    _check_sees_images(config, stage)
    _check_monitor(config, stage, rows.validation is not None, own)
    check_classifier(stage, observed, rows.validation is not None)
    loss = get_classification_loss(stage.loss, counts, class_weights(stage.class_weight, counts, train.class_names))
    embedding_loss = None if stage.embedding_loss is None else get_embedding_loss(stage.embedding_loss)
    batches = StageBatches(
        config,
        rows,
        images,
        seed,
        _augmentation(stage, train.class_names),
        get_sampling(stage.sampling, train, batch_size=config.training.batch_size, num_epochs=max(stage.epochs, 1)),
    )
    frozen = _frozen_layer(config, stage, observed)
    begin: list[Step] = [functools.partial(freezer.freeze_through, frozen)]
    finish: list[Step] = []
    freezer.freeze_through(frozen)
    trained = observed
    change = setting_name(stage.classifier)
    if change == "retrain":
        begin.append(functools.partial(reinitialized, observed.last_dense, seed))
    elif change == "scale":
        scaled = scaled_classifier(observed)
        _freeze_all(classifier)
        trained = observed_network(config, scaled)
        begin += [functools.partial(_freeze_all, classifier), functools.partial(copy_logits, observed, scaled)]
        finish.append(functools.partial(fold_scales, observed, scaled))
    elif stage.computes_classifier:
        finish.append(functools.partial(compute_classifier, stage, observed, batches))
    if stage.cache_activations and not stage.computes_classifier:
        lower, trained = cut(trained, _cut_layer(observed, frozen))
        batches = dataclasses.replace(batches, lower=lower)
    with seeded_initial_weights(seed):
        head = mask_head(config, stage, train, batches.steps_per_epoch)
        model = care_model(config, trained, stage, embedding_loss, head)
    compile_model(config, model, stage, loss, train)
    finish.append(freezer.unfreeze)
    return PreparedStage(stage, model, batches, tuple(begin), tuple(finish))


def _freeze_all(classifier: keras.Model) -> None:
    for layer in classifier.layers:
        layer.trainable = False


def _cut_layer(observed: ObservedClassifier, frozen: str | None) -> str:
    """Where activations are cached: at the frozen layer, or at the first attention layer where that is frozen, too."""
    attention_layer = observed.anatomy.places[0].attention_layer
    if attention_layer is not None and not attention_layer.trainable:
        return attention_layer.name
    assert frozen is not None  # the stage was refused otherwise
    return frozen


def _cut(config: RunConfig, observed: ObservedClassifier, layer: str) -> tuple[keras.Model, ObservedClassifier]:
    """The network below a layer, and the one above it, read."""
    places = observed.anatomy.places
    for place in places:
        if place.attention_side == "input":
            raise InputError(
                "Stages that cache activations need an attention layer that makes its map. Received "
                f"{place.attention_path!r}, which is given it. Name another one in care.attention_layer."
            )
    names = [(place.attention_path or "").rpartition("/")[2] for place in places]
    lower, upper = cut_network(observed.classifier, layer, names[0])  # no other one is the cut, or below it
    return lower, observed_network(config, upper, [INPUT_ACTIVATION if name == layer else name for name in names])


def _augmentation(stage: Stage, class_names: tuple[str, ...]) -> Augmentation | None:
    if stage.augmentation is None:
        return None
    known = [field.name for field in dataclasses.fields(Augmentation)]
    unknown = sorted(map(str, set(stage.augmentation) - set(known)))
    if unknown:
        raise InputError(
            f"Stage {stage.name!r}: augmentation has an unknown key, {', '.join(unknown)}. Known: {', '.join(known)}."
        )
    try:
        augmentation = Augmentation(**stage.augmentation)
    except TypeError as error:
        raise InputError(f"Stage {stage.name!r}: augmentation has a value of a wrong type ({error}).") from error
    augmented_classes(class_names, augmentation)  # raises for an unknown class
    if stage.cache_activations:
        flips_of(augmentation)  # raises where it does more than flip
    return augmentation


def _check_sees_images(config: RunConfig, stage: Stage) -> None:
    if not isinstance(config.care.attention_loss, OutsideLoss):
        return
    if stage.cache_activations or config.training.jit_compile:
        name = "cache_activations" if stage.cache_activations else "training.jit_compile"
        raise InputError(
            f"Stage {stage.name!r}: care.form={setting_name(config.care.form)} passes the images with a mask through "
            f"the whole network again. Received {name}=true. Set {name}=false."
        )


def _check_monitor(config: RunConfig, stage: Stage, has_validation: bool, own: list[str]) -> None:
    known = [*LOGGED_MEANS, *(EMBEDDING_MEANS if stage.embedding_loss is not None else ()), *METRICS, *own]
    known += MASK_MEANS if config.care.mask_head is not None and stage.alpha > 0 else ()
    known += [f"val_{name}" for name in known] if has_validation else []
    if stage.alpha == 0 and isinstance(config.care.attention_loss, OutsideLoss):
        known.remove("attention_loss")  # which training steps with alpha = 0 do not compute
    if stage.monitor not in known:
        raise InputError(
            f"Stage {stage.name!r}: monitor={stage.monitor!r} is not a log. Available: {', '.join(known)}."
        )


def _frozen_layer(config: RunConfig, stage: Stage, observed: ObservedClassifier) -> str | None:
    """The name of the layer that `frozen_through` means."""
    classifier = observed.classifier
    if stage.frozen_through == "penultimate_block":
        layer = get_backbone(config.model.backbone).penultimate_block
        if layer is None:
            raise InputError(
                f"Stage {stage.name!r}: frozen_through=penultimate_block is not known for {config.model.backbone!r}. "
                "Name the layer that ends the last block but one."
            )
        return layer
    if stage.frozen_through == "features":
        given = observed.last_dense.input
        makers = [layer.name for layer in classifier.layers if layer.output is given]
        if not makers:
            raise InputError(
                f"Stage {stage.name!r}: frozen_through=features needs a Functional model whose last Dense layer stands "
                "at its top level. Name the layer before it."
            )
        return makers[-1]
    return stage.frozen_through
