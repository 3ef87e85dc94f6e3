"""What each stage of a run is trained with: its network, losses, sampling and data."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from care_tf.backbones import get_backbone
from care_tf.data import Augmentation, Manifest, evaluation_dataset, get_sampling, steps_per_epoch, training_dataset
from care_tf.data.activation_cache import (
    activation_evaluation_dataset,
    activation_training_dataset,
    flips_of,
)
from care_tf.data.augmentation import augmented_classes
from care_tf.data.epochs import EpochOrder
from care_tf.errors import InputError
from care_tf.losses import get_classification_loss
from care_tf.losses.class_weights import class_weights
from care_tf.losses.embedding import get_embedding_loss
from care_tf.model import CAREModel
from care_tf.model.care_model import EMBEDDING_MEANS, LOGGED_MEANS
from care_tf.network.cutting import INPUT_ACTIVATION, cut_network
from care_tf.network.freezing import freeze_through, unfreeze
from care_tf.network.last_dense import last_dense, reinitialized
from care_tf.runs import run_parts as parts
from care_tf.runs.config import RunConfig
from care_tf.runs.rebuilt_classifier import check_classifier, compute_classifier, fold_scales, scaled_classifier
from care_tf.runs.run_parts import Manifests
from care_tf.runs.shared_images import SharedImages
from care_tf.runs.stage import Stage
from care_tf.runs.stages import StageSetup
from care_tf.settings import setting_name

# Seeds of two stages of one run, or of runs with neighboring seeds, are this far apart, so that a stage sees the same
# batches however long the one before it took.
STAGE_SEED_STEP = 1_000_003


@dataclasses.dataclass(frozen=True)
class StageParts:
    """What a stage's settings stand for; making it finds every wrong setting.

    Attributes:
      stage: The settings.
      loss: L_c, with the class weights.
      embedding_loss: L_e, or None.
      order: How an epoch's images are drawn; None for a permutation of all.
      augmentation: None changes no image.
      frozen_layer: Name of the layer up to which nothing trains, or None.
    """

    stage: Stage
    loss: keras.losses.Loss
    embedding_loss: keras.losses.Loss | None
    order: EpochOrder | None
    augmentation: Augmentation | None
    frozen_layer: str | None


def stage_parts(config: RunConfig, stage: Stage, manifests: Manifests, classifier: keras.Model) -> StageParts:
    """Reads a stage's settings.

    Raises:
      InputError: A setting is unknown, out of range, contradicts another, or does not fit the data or the network.
    """
    train = manifests.train
    counts = list(train.class_counts.values())
    augmentation = parts.augmentation(stage)
    if augmentation is not None:
        augmented_classes(train.class_names, augmentation)  # raises for an unknown class
    if stage.cache_activations:
        flips_of(augmentation)
    check_classifier(stage, classifier, manifests.validation is not None)
    _check_monitor(stage, manifests.validation is not None)
    frozen = _frozen_layer(config, stage, classifier)
    freeze_through(classifier, frozen)  # raises where nothing would be left to train
    unfreeze(classifier)
    return StageParts(
        stage,
        get_classification_loss(stage.loss, counts, class_weights(stage.class_weight, counts, train.class_names)),
        None if stage.embedding_loss is None else get_embedding_loss(stage.embedding_loss),
        get_sampling(stage.sampling, train, batch_size=config.training.batch_size, num_epochs=max(stage.epochs, 1)),
        augmentation,
        frozen,
    )


def check_models(config: RunConfig, all_parts: list[StageParts], manifests: Manifests, classifier: keras.Model) -> None:
    """Builds and compiles what every stage trains, so that what cannot be built is refused before anything is written.

    Raises:
      InputError: The attention layer or the optimizer is unknown, or the activations cannot be cached.
    """
    for part in all_parts:
        freeze_through(classifier, part.frozen_layer)
        model = parts.care_model(config, classifier, part.stage, part.embedding_loss)
        parts.compile_model(config, model, part.stage, part.loss, manifests.train)
        if part.stage.cache_activations:
            cut_network(classifier, cut_layer(part, model), "")
    unfreeze(classifier)


def cut_layer(part: StageParts, model: CAREModel) -> str:
    """Where activations are cached: at the frozen layer, or at the attention layer where that is frozen, too."""
    attention_layer = model.anatomy.attention_layer
    if attention_layer is not None and not attention_layer.trainable:
        return attention_layer.name
    assert part.frozen_layer is not None  # the stage was refused otherwise
    return part.frozen_layer


def stage_setup_function(
    config: RunConfig, all_parts: list[StageParts], manifests: Manifests, classifier: keras.Model, images: SharedImages
) -> Callable[[int], StageSetup]:
    """The function from a stage's index to what it is trained with.

    Args:
      config: The run.
      all_parts: Of every stage.
      manifests: The rows to train and validate on.
      classifier: The run's network; a setup changes which of its layers train, and may rebuild its last layer.
      images: Where decoded images and activations are kept.
    """

    def setup(index: int) -> StageSetup:
        return _Setup(config, all_parts[index], manifests, classifier, images, index).make()

    return setup


def _leave_as_trained() -> None:
    """What most stages do when they end."""


@dataclasses.dataclass(frozen=True)
class _Setup:
    """The making of one stage's setup."""

    config: RunConfig
    parts: StageParts
    manifests: Manifests
    classifier: keras.Model
    images: SharedImages
    index: int

    @property
    def seed(self) -> int:
        return self.config.seed + STAGE_SEED_STEP * self.index

    @property
    def image_size(self) -> tuple[int, int]:
        return self.config.data.image_size_px

    def make(self) -> StageSetup:
        stage, classifier = self.parts.stage, self.classifier
        change = setting_name(stage.classifier)
        network: keras.Model = classifier
        finish: Callable[[], None] = _leave_as_trained
        freeze_through(classifier, self.parts.frozen_layer)
        if change == "retrain":
            reinitialized(last_dense(classifier), self.seed)
        elif change == "scale":
            for layer in classifier.layers:
                layer.trainable = False
            network = scaled_classifier(classifier)
            finish = functools.partial(fold_scales, classifier, network)
        elif stage.computes_classifier:
            train, validation = self._plain_batches(self.manifests.train), self._validation_batches()
            finish = functools.partial(compute_classifier, stage, classifier, train, validation)
        model = parts.care_model(self.config, network, stage, self.parts.embedding_loss)
        if stage.cache_activations and not stage.computes_classifier:
            return self._on_activations(network, model, finish)
        parts.compile_model(self.config, model, stage, self.parts.loss, self.manifests.train)
        return StageSetup(model, self._image_batches, self._steps(), self._validation_batches(), finish)

    def _on_activations(self, network: keras.Model, whole: CAREModel, finish: Callable[[], None]) -> StageSetup:
        """The setup of a model of the layers above the frozen ones, on what those give."""
        cut = cut_layer(self.parts, whole)
        attention_name = (whole.anatomy.attention_path or "").rpartition("/")[2]
        lower, upper = cut_network(network, cut, attention_name)
        observed = INPUT_ACTIVATION if cut == attention_name else attention_name
        model = parts.care_model(self.config, upper, self.parts.stage, self.parts.embedding_loss, observed)
        parts.compile_model(self.config, model, self.parts.stage, self.parts.loss, self.manifests.train)
        preprocess = parts.preprocess_function(self.config)
        train, validation = self.manifests.train, self.manifests.validation

        def activations(rows: Manifest, signs):
            name = self.config.model.backbone
            return self.images.activations(rows, self.image_size, lower, preprocess, name, signs)

        cache = activations(train, flips_of(self.parts.augmentation))

        def batches(first_epoch: int):
            return activation_training_dataset(
                train,
                cache,
                self.image_size,
                self.config.training.batch_size,
                seed=self.seed,
                augmentation=self.parts.augmentation,
                first_epoch=first_epoch,
                order=self.parts.order,
            )

        validation_batches = None
        if validation is not None:
            validation_batches = activation_evaluation_dataset(
                validation,
                activations(validation, flips_of(None)),
                self.image_size,
                self.config.training.batch_size,
                masks=bool(validation.has_boxes.any()),
            )
        return StageSetup(model, batches, self._steps(), validation_batches, finish)

    def _steps(self) -> int:
        return steps_per_epoch(self.manifests.train, self.config.training.batch_size, self.parts.order)

    def _image_batches(self, first_epoch: int):
        return training_dataset(
            self.manifests.train,
            self.image_size,
            self.config.training.batch_size,
            seed=self.seed,
            augmentation=self.parts.augmentation,
            preprocess=parts.preprocess_function(self.config),
            masks=True,
            cache=self.images.loader(self.manifests.train, self.image_size),
            first_epoch=first_epoch,
            order=self.parts.order,
        )

    def _plain_batches(self, rows: Manifest, masks: bool = False):
        return evaluation_dataset(
            rows,
            self.image_size,
            self.config.training.batch_size,
            preprocess=parts.preprocess_function(self.config),
            masks=masks,
            cache=self.images.loader(rows, self.image_size),
        )

    def _validation_batches(self):
        validation = self.manifests.validation
        return None if validation is None else self._plain_batches(validation, bool(validation.has_boxes.any()))


def _check_monitor(stage: Stage, has_validation: bool) -> None:
    known = [*LOGGED_MEANS, *(EMBEDDING_MEANS if stage.embedding_loss is not None else ()), *parts.METRICS]
    known += [f"val_{name}" for name in known] if has_validation else []
    if stage.monitor not in known:
        raise InputError(
            f"Stage {stage.name!r}: monitor={stage.monitor!r} is not a log. Available: {', '.join(known)}."
        )


def _frozen_layer(config: RunConfig, stage: Stage, classifier: keras.Model) -> str | None:
    """The name of the layer that `frozen_through` stands for."""
    if stage.frozen_through == "penultimate_block":
        layer = get_backbone(config.model.backbone).penultimate_block
        if layer is None:
            raise InputError(
                f"Stage {stage.name!r}: frozen_through=penultimate_block is not known for {config.model.backbone!r}. "
                "Name the layer that ends the last block but one."
            )
        return layer
    if stage.frozen_through == "features":
        given = last_dense(classifier).input
        makers = [layer.name for layer in classifier.layers if layer.output is given]
        if not makers:
            raise InputError(
                f"Stage {stage.name!r}: frozen_through=features needs a Functional model whose last Dense layer stands "
                "at its top level. Name the layer before it."
            )
        return makers[-1]
    return stage.frozen_through
