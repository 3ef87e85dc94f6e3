"""Says what a fit would not: no masks, flat maps, an attention loss that does not fall, weights that are NaN."""

import math
import warnings
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from care_tf.keras_generation import number_in
from care_tf.losses.outside_loss import OutsideLoss
from care_tf.network.finite_weights import weights_not_finite

EPOCHS_BEFORE_JUDGING = (6, 10)  # with alpha > 0: for a fit that ends, and for one that goes on
LEAST_FALL = 0.01  # of the attention loss per counted image, whose range is about 1 wide
_ENDS = 2  # epochs averaged at either end
_OFF = "CARE trains no attention"
_NAN_WITHOUT_MASKS = ("attention_inside", "val_attention_inside", "mask_dice", "val_mask_dice")


class AttentionSums(NamedTuple):
    """Sums over the training images of an epoch.

    Attributes:
      images: All of them.
      given: Those in batches that have masks.
      masked: Those with a mask that is not empty.
      counted: Those of them that enter the attention loss: with a class, and a sample weight other than 0.
      flat: Those of `counted` with an attention map, of one of the layers, that is zero as the loss takes it, and has
        no gradient.
      loss: L_a of each image of `counted`, added up.
      wanted: Those without a mask of a class that a mask head gives masks to.
      learned: Those of them that got one.
    """

    images: Any
    given: Any = 0.0
    masked: Any = 0.0
    counted: Any = 0.0
    flat: Any = 0.0
    loss: Any = 0.0
    wanted: Any = 0.0
    learned: Any = 0.0


class AttentionWatch(keras.callbacks.Callback):
    """Warns, once each, where attention is not trained though it should be; the first callback of every fit of a model.

    It also takes out of an epoch's logs what was not measured, and is NaN: `attention_inside` and `mask_dice` without
    masks, and with alpha = 0 an `attention_loss` that asks the network. `EarlyStopping` and its like say that a log is
    missing, but take NaN for a number that nothing is better than.
    """

    def __init__(self) -> None:
        super().__init__()
        # No Keras metric, which would be logged and saved with the model.
        self._sums = tf.Variable(
            tf.zeros(len(AttentionSums._fields)),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )
        self._has_warned: set[str] = set()
        self._losses: list[float] = []  # per counted image, of every epoch with alpha > 0 since there was one
        self._has_seen_start = False
        self._wanted, self._has_learned = 0.0, False  # of a mask head, of all epochs with alpha > 0

    def add(self, sums: AttentionSums) -> None:
        """Adds a batch; in the graph of a training step."""
        self._sums.assign_add(tf.stack([tf.cast(value, tf.float32) for value in sums]))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins a fit, perhaps in the middle of a training."""
        self._has_seen_start = bool(self._losses)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begins to count."""
        self._has_seen_start |= epoch == 0
        self._sums.assign(tf.zeros_like(self._sums))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges an epoch."""
        alpha = number_in(self.model.alpha)
        unmeasured = ("attention_loss",) if alpha == 0 and isinstance(self.model.attention_loss, OutsideLoss) else ()
        for name in (*_NAN_WITHOUT_MASKS, *unmeasured):
            if logs and math.isnan(float(logs.get(name, 0.0))):
                del logs[name]
        if bad := weights_not_finite(self.model):
            found = f"{len(bad)} weights are NaN or infinite after epoch {epoch + 1}, first {bad[0]}"
            self._warn("weights", f"{found}. Check the images for NaN, or lower the learning rate")
        sums = AttentionSums(*tf.convert_to_tensor(self._sums).numpy().tolist())
        if alpha > 0:
            self._wanted, self._has_learned = self._wanted + sums.wanted, self._has_learned or sums.learned > 0
        if alpha == 0:
            self._has_seen_start = True  # stage 2 is still to come
        elif sums.images and not sums.counted:
            self._warn("masks", f"{_OFF}: in epoch {epoch + 1}, with alpha {alpha:g}, {_why_no_mask(sums)}")
        elif sums.counted:
            if sums.flat > sums.counted / 2:
                why = _alone if isinstance(self.model.attention_loss, OutsideLoss) else _flat_maps
                self._warn("flat", why(sums, epoch, self.model))
            self._losses.append(sums.loss / sums.counted)
            self._share = sums.counted / sums.images
            self._judge_losses(EPOCHS_BEFORE_JUDGING[1])

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Judges a fit."""
        self._judge_losses(EPOCHS_BEFORE_JUDGING[0])
        if self._wanted and not self._has_learned:
            self._warn("head", _no_learned_mask(self.model.mask_head))

    def _judge_losses(self, num_epochs: int) -> None:
        if not self._has_seen_start or len(self._losses) < num_epochs:
            return
        first, last = sum(self._losses[:_ENDS]) / _ENDS, sum(self._losses[-_ENDS:]) / _ENDS
        loss = self.model.attention_loss
        if first - last < LEAST_FALL and last > loss.reached:
            weight = number_in(self.model.alpha) * self._share
            cause = "the layers up to the attention layer may be frozen, or the learning rate too low"
            if loss.reduction == "batch" and self._share < 0.5:
                cause = (
                    f'{self._share:.1%} of the images have a mask, and reduction="batch" averages over all, so their '
                    f'attention has a weight of {weight:.2g}. Try AttentionLoss(reduction="masked"), or a larger alpha'
                )
            self._warn(
                "loss",
                f"{_OFF}: the attention loss does not fall: per image with a mask it was {first:.3f} in the first "
                f"{_ENDS} of {len(self._losses)} epochs with alpha > 0, and {last:.3f} in the last {_ENDS}. Likely "
                f"cause: {cause}",
            )

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._has_warned:
            self._has_warned.add(kind)
            warnings.warn(f"{text}.", UserWarning, stacklevel=2)


def _why_no_mask(sums: AttentionSums) -> str:
    if not sums.given:
        return (
            'no batch has masks. Likely cause: x is a bare image or a dict without the key "mask"; give {"image": ..., '
            '"mask": ...}, as `care_tf.data.training_dataset` does'
        )
    if not sums.masked:
        return (
            f"none of {sums.given:.0f} images has a mask that is not empty. Likely cause: the training images have no "
            "boxes, or boxes that are not in pixels (fractions cover one pixel at most)"
        )
    return (
        f"all {sums.masked:.0f} images with a mask are left out. Likely cause: their class is -1 (`mask_class`), or "
        "their sample weight is 0"
    )


def _no_learned_mask(head: Any) -> str:
    steps = number_in(head.trained_steps)
    if steps < head.warm_up_steps:
        done = f"{steps:.0f} of {head.warm_up_steps} warm-up steps"
        cause = f"it has had {done}; train longer, or warm up for less (warm_up_steps, in a run warm_up_fraction)"
    else:
        cause = (
            "its predictions are empty or cover the whole image; see mask_dice in the logs, and train longer, or give "
            "more boxes"
        )
    return f"The mask head gave no image a mask. Likely cause: {cause}"


def _alone(sums: AttentionSums, epoch: int, model: Any) -> str:
    return (
        f"{_OFF}: in epoch {epoch + 1}, {sums.flat:.0f} of {sums.counted:.0f} images with a mask lay in a step, or a "
        f"replica's part of one, with fewer than {model.attention_loss.least_images} of them, and exchange nothing. "
        "Give more images boxes, take larger batches, or draw classes more evenly"
    )


def _flat_maps(sums: AttentionSums, epoch: int, model: Any) -> str:
    layers = [place.name for place in model.anatomy.places]
    effect, one = (_OFF, "the") if len(layers) == 1 else ("CARE does not train the attention of all layers", "an")
    is_positive = model.attention_loss.normalization == "positive"
    found = "has no positive part, and no gradient" if is_positive else "is flat, without a gradient"
    return (
        f"{effect}: in epoch {epoch + 1}, {one} attention map at {' or '.join(layers)} {found}, on {sums.flat:.0f} of "
        f"{sums.counted:.0f} images with a mask. Likely cause: the layer's output is zero or the same everywhere (a "
        "learning rate too high, inputs of another range than the network takes), or the score does not depend on it; "
        "name another layer in attention_layer"
    )
