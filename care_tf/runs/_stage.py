"""A stage of training: what a run is a list of."""

import dataclasses
import math
import re
from typing import Any

from care_tf.data.sampling import SAMPLING
from care_tf.errors import InputError
from care_tf.losses.class_weights import CLASS_WEIGHTS, names_class_weights
from care_tf.losses.classification import classification_loss_entry
from care_tf.losses.embedding import EMBEDDING_LOSSES
from care_tf.network.decoupled_classifier import CLASSIFIER_CHANGES
from care_tf.settings import Choice, Setting, Trait, entry_of, setting_arguments, setting_name


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of a run. CARE's own recipe is two of them: alpha 0, then alpha > 0 from the weights of the first.

    The objective is L = (1 - alpha) (classification_weight L_c + embedding_weight L_e) + alpha L_a.

    Attributes:
      name: Name in histories, checkpoints and the report.
      epochs: Largest number of epochs, >= 1; 0 for a classifier that is computed, not trained.
      alpha: Weight of the attention loss, in [0, 1].
      ramp_epochs: Epochs over which alpha grows linearly to its value; 0 for at once.
      learning_rate: Learning rate; every stage starts with a fresh optimizer.
      patience: Epochs without improvement of `monitor` that end the stage; None runs all epochs.
      min_delta: A fall of the monitored loss by no more than this is no improvement, >= 0.
      monitor: The log that `patience` watches; lower is better.
      loss: L_c: "cross_entropy", "focal", "ldam", "balanced_softmax", "logit_adjustment", or a user's own,
        "module:function".
      class_weight: Weights of the classes in L_c: None, "balanced", "effective_number", or class name -> weight.
      classification_weight: Weight of L_c, >= 0; 0 trains on the embedding loss alone.
      embedding_loss: L_e on the input of the last Dense layer: None, "contrastive", "triplet", "class_center",
        "n_pair" or "supervised_contrastive".
      embedding_weight: Weight of L_e, >= 0.
      sampling: How an epoch's images are drawn: "instance_balanced", "class_balanced", "square_root",
        "progressively_balanced", "class_aware", "oversample" or "undersample".
      augmentation: Arguments of `care_tf.data.Augmentation`; None changes no image.
      frozen_through: Layer that does not train, nor does any that its output depends on; "penultimate_block" and
        "features" name the backbone's last block but one, and everything before the last Dense layer. None trains all.
      cache_activations: Whether the frozen layers are computed once, for every flip that the augmentation may draw,
        rather than in every epoch.
      classifier: What happens to the last Dense layer first: "keep", "retrain" (fresh weights), "scale" (only a scale
        per class trains), "tau_normalize" or "nearest_class_mean".
      start_from: Weights that the stage starts from: None for those of the stage before, "initial", an earlier stage's
        name, or the path of a weights file.
      reuse: Run folder whose finished stage of the same settings is taken over instead of training; None trains.
    """

    name: str
    epochs: int
    alpha: float = 0.0
    ramp_epochs: int = 0
    learning_rate: float = 1e-4
    patience: int | None = None
    min_delta: float = 0.0
    monitor: str = "classification_loss"
    loss: Setting = "cross_entropy"
    class_weight: Setting | None = None
    classification_weight: float = 1.0
    embedding_loss: Setting | None = None
    embedding_weight: float = 1.0
    sampling: Setting = "instance_balanced"
    augmentation: dict[str, Any] | None = None
    frozen_through: str | None = None
    cache_activations: bool = False
    classifier: Setting = "keep"
    start_from: str | None = None
    reuse: str | None = None

    @property
    def computes_classifier(self) -> bool:
        """Whether the stage computes the last Dense layer in closed form and trains nothing."""
        return Trait.COMPUTES_CLASSIFIER in entry_of(self.classifier, CLASSIFIER_CHANGES, "classifier").traits

    @property
    def chooses_tau(self) -> bool:
        """Whether the stage chooses tau on validation images."""
        return setting_name(self.classifier) == "tau_normalize" and "tau" not in setting_arguments(self.classifier)

    def __post_init__(self):
        try:
            Choice.read(self.classifier, CLASSIFIER_CHANGES, "classifier")
            traits = _traits(self)
        except InputError as error:
            raise InputError(f"Stage {self.name!r}: {error}") from error
        least_epochs = 0 if Trait.COMPUTES_CLASSIFIER in traits else 1
        for name, ok, rule in (
            ("name", re.fullmatch(r"\w[\w.-]*", self.name), "letters, digits, _, - and . (it names files)"),
            ("epochs", self.epochs >= least_epochs, f"at least {least_epochs}"),
            ("alpha", 0.0 <= self.alpha <= 1.0, "in [0, 1]"),
            ("ramp_epochs", self.ramp_epochs >= 0, "at least 0"),
            ("learning_rate", self.learning_rate > 0.0 and math.isfinite(self.learning_rate), "positive"),
            ("patience", self.patience is None or self.patience >= 1, "at least 1"),
            ("min_delta", self.min_delta >= 0.0, "at least 0"),
            ("classification_weight", 0.0 <= self.classification_weight < math.inf, "at least 0"),
            ("embedding_weight", 0.0 <= self.embedding_weight < math.inf, "at least 0"),
        ):
            if not ok:
                raise InputError(
                    f"Stage {self.name!r}: {name} must be {rule}. Received {name}={getattr(self, name)!r}."
                )
        contradiction = _contradiction(self, traits)
        if contradiction:
            raise InputError(f"Stage {self.name!r} contradicts itself: {contradiction}")


def _traits(stage: Stage) -> set[Trait]:
    """What a stage's settings do, as far as others may contradict it."""
    traits = {
        *classification_loss_entry(stage.loss).traits,
        *entry_of(stage.sampling, SAMPLING, "sampling").traits,
        *entry_of(stage.classifier, CLASSIFIER_CHANGES, "classifier").traits,
    }
    if names_class_weights(stage.class_weight):
        traits |= entry_of(stage.class_weight, CLASS_WEIGHTS, "class weights").traits
    if stage.embedding_loss is not None:
        learned = entry_of(stage.embedding_loss, EMBEDDING_LOSSES, "embedding loss").traits
        traits |= learned if stage.embedding_weight > 0 else set()
    if stage.frozen_through == "features":
        traits.add(Trait.FREEZES_EMBEDDING)
    if stage.alpha > 0:
        traits.add(Trait.SUPERVISES_ATTENTION)
    if stage.epochs > 0:
        traits.add(Trait.TRAINS)
    return traits


def _contradiction(stage: Stage, traits: set[Trait]) -> str | None:
    """Which settings contradict each other, and what to do; None where none do."""
    if stage.cache_activations and stage.frozen_through is None:
        return "cache_activations=true keeps what frozen layers give, and no layer is frozen. Set frozen_through."
    if stage.classification_weight == 0 and not traits & {Trait.SUPERVISES_ATTENTION, Trait.LEARNS_EMBEDDING}:
        return "classification_weight=0 without an embedding loss and with alpha=0 leaves nothing to learn from."
    return next((problem for pair, problem in _CONTRADICTIONS.items() if traits.issuperset(pair)), None)


_ONLY_COMPUTES = "its classifier is computed, so neither alpha nor an embedding loss would do anything. Leave them out."
_ONLY_SCALES = (
    "classifier=scale trains one factor per class, which changes neither the scaled map nor the embedding. Leave alpha "
    "and embedding_loss out."
)
_CONTRADICTIONS = {
    (Trait.COMPUTES_CLASSIFIER, Trait.TRAINS): (
        "its classifier is computed, so there is nothing to train. Set epochs to 0, or choose another classifier."
    ),
    (Trait.COMPUTES_CLASSIFIER, Trait.SUPERVISES_ATTENTION): _ONLY_COMPUTES,
    (Trait.COMPUTES_CLASSIFIER, Trait.LEARNS_EMBEDDING): _ONLY_COMPUTES,
    (Trait.FREEZES_EMBEDDING, Trait.LEARNS_EMBEDDING): (
        "frozen_through=features leaves no layer that an embedding loss could train. Leave embedding_loss out."
    ),
    (Trait.SCALES_CLASSES, Trait.SUPERVISES_ATTENTION): _ONLY_SCALES,
    (Trait.SCALES_CLASSES, Trait.LEARNS_EMBEDDING): _ONLY_SCALES,
    (Trait.BALANCES_CLASSES, Trait.CORRECTS_FOR_COUNTS): (
        "its sampling balances the classes already, and its loss would correct for their counts once more. Choose one."
    ),
}
