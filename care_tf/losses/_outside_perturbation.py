"""A prediction must not change when the image is changed outside the boxes."""

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.losses.arguments import checked_choice, checked_number, checked_whole
from care_tf.losses.outside_loss import GRADIENT_SCALE, LogProbabilities, OutsideLoss, outside_of, where_outside

KINDS = ("random", "worst", "swap")
_STRENGTH = 0.5


def divergence(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """The Kullback-Leibler divergence of predictions from those before.

    KL(p || q) = sum_k p_k (log p_k - log q_k)

    Args:
      before: float (B, K), log p.
      after: float (B, K), log q.

    Returns:
      float (B,), >= 0 up to rounding; exactly 0 for equal ones.

    Example:
      >>> import tensorflow as tf
      >>> divergence(tf.math.log([[0.5, 0.5]]), tf.math.log([[0.5, 0.5]])).numpy().tolist()
      [0.0]
    """
    return tf.reduce_sum(tf.exp(before) * (before - after), axis=-1)


def surroundings_of_others(images: tf.Tensor, outside: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """What surrounds the boxes of the other images of a batch, for each image that of another one.

    s_i = M_j mean_j + (1 - M_j) x_j,   j = i - k modulo B,   1 <= k < B drawn

    Args:
      images: float (B, H, W, C).
      outside: (B, H, W, 1), their dtype: 1 - M.
      seed: int (2,), of what is drawn.

    Returns:
      (B, H, W, C); mean_j is the mean over the outside of image j. Where image j has no outside, and where the batch is
      one image, s_i is x_i.
    """
    area = tf.reduce_sum(outside, axis=(1, 2), keepdims=True)
    mean = tf.math.divide_no_nan(tf.reduce_sum(outside * images, axis=(1, 2), keepdims=True), area)
    bare = outside * images + (1.0 - outside) * mean
    most = tf.maximum(tf.shape(images)[0], 2)
    shift = tf.random.stateless_uniform((), seed, 1, most, tf.int32, alg="philox")
    return tf.where(tf.roll(area, shift, axis=0) > 0, tf.roll(bare, shift, axis=0), images)


@register
class OutsidePerturbation(OutsideLoss):
    """How much a prediction changes when the image is perturbed outside its boxes.

    L_i = KL( p(x_i) || p(x_i + (1 - M_i) r_i) ),   p(x_i) without gradient but for "swap"

    | kind     | r                                                                                                 |
    |----------|---------------------------------------------------------------------------------------------------|
    | "random" | normal, of standard deviation e                                                                   |
    | "worst"  | in [-e, e]: uniform, then `steps` times r <- clip(r + 2.5 e / (steps + 1) sign(dKL/dr), -e, e)    |
    | "swap"   | s_j - x_i, s_j the surroundings of another masked image of the step (on this replica)             |

    s_j is x_j with the mean of its outside where its own boxes are, M_j mean + (1 - M_j) x_j; j is a random rotation of
    the masked images. So what lies around a lesion comes to lie around others, of other classes where these have boxes,
    too: with boxes on one class alone, a cue of that class stays with it. An image that is the only masked one of its
    step is not changed and trains nothing, which `fit` warns of where most are. Nor is one changed whose turn it is
    with an image that is all box. Both predictions are trained: x_i has its class's cue, and alone the other would
    learn what x_i is told by it.

    e is `strength` times the standard deviation of each channel over the batch, because the range of what a network is
    given is not known. Values are not clipped to any range.

    Both predictions are made in inference mode: dropout is off, batch normalization uses its moving statistics and
    leaves them as they are. The few masked images would give poor statistics, and a prediction in training mode
    differs from itself.

    Args:
      kind: "random", "worst" or "swap".
      strength: Size of the perturbation in standard deviations of the input, > 0. "swap" has none.
      steps: Gradient steps of "worst", >= 1; each costs a forward and a backward pass of the masked images.
      seed: Of the draws, which are those of the seed and the number of the training step.
      reduction: "batch", "masked" or "class_balanced", as for `AttentionLoss`.

    Raises:
      InputError: An argument is outside its range, or `steps` is given for another kind than "worst", or `strength` for
        "swap".

    Source: Heo et al., "Use Perturbations when Learning from Explanations", NeurIPS 2023, for robustness to changes of
      what annotators call irrelevant, on average and at worst; the divergence, with its stopped gradient, from virtual
      adversarial training (Miyato et al. 2018). Their loss is the cross entropy of the perturbed image: ours leaves
      the class weights and labels to L_c. One step of 1.25 e from a random start: Wong et al. 2020; of 2.5 e / steps:
      Madry et al. 2018.
    """

    def __init__(
        self,
        kind: str = "random",
        strength: float = _STRENGTH,
        steps: int = 1,
        seed: int = 0,
        reduction: str = "batch",
    ):
        super().__init__(reduction)
        self.kind = checked_choice("kind", kind, KINDS)
        self.strength = checked_number("strength", strength, is_open=True)
        self.steps = checked_whole("steps", steps, 1)
        self.seed = checked_whole("seed", seed, 0)
        if kind != "worst" and steps != 1:
            raise InputError(f'Only kind="worst" takes gradient steps. Received steps={steps!r} for kind={kind!r}.')
        if kind == "swap" and strength != _STRENGTH:
            raise InputError(f'kind="swap" has no strength. Received strength={strength!r}. Leave it out.')

    @property
    def least_images(self) -> int:
        """Masked images that a step must have to train anything: "swap" exchanges between two."""
        return 2 if self.kind == "swap" else 1

    def per_image(
        self, log_probabilities: LogProbabilities, images: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """L_i of every image; see `OutsideLoss.per_image`."""
        outside = outside_of(mask, images)
        before = log_probabilities(images)
        if self.kind != "swap":
            before = tf.stop_gradient(before)
        size = tf.cast(self.strength * scale, images.dtype)
        seed = tf.random.experimental.stateless_fold_in(seed, self.seed)
        if self.kind == "swap":
            noise = surroundings_of_others(images, outside, seed) - images
        elif self.kind == "random":
            noise = size * tf.random.stateless_normal(tf.shape(images), seed, dtype=images.dtype, alg="philox")
        else:
            noise = self._worst(log_probabilities, images, outside, before, size, seed)
        return where_outside(outside, divergence(before, log_probabilities(images + outside * noise)))

    def _worst(self, log_probabilities, images, outside, before, size, seed) -> tf.Tensor:
        noise = size * tf.random.stateless_uniform(tf.shape(images), seed, -1.0, 1.0, images.dtype, alg="philox")
        for _ in range(self.steps):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(noise)
                changed = log_probabilities(images + outside * noise)
                total = GRADIENT_SCALE * tf.reduce_sum(divergence(before, changed))
            uphill = tf.sign(tape.gradient(total, noise))
            noise = tf.clip_by_value(noise + 2.5 / (self.steps + 1) * size * uphill, -size, size)
        return tf.stop_gradient(noise)
