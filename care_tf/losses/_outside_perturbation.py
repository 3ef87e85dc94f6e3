"""A prediction must not change when the image is changed outside the boxes."""

import tensorflow as tf

from care_tf.errors import InputError
from care_tf.keras_generation import register
from care_tf.losses.arguments import checked_choice, checked_number, checked_whole
from care_tf.losses.outside_loss import GRADIENT_SCALE, LogProbabilities, OutsideLoss, outside_of, where_outside

KINDS = ("random", "worst")


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


@register
class OutsidePerturbation(OutsideLoss):
    """How much a prediction changes when the image is perturbed outside its boxes.

    L_i = KL( p(x_i) || p(x_i + (1 - M_i) r_i) ),   p(x_i) without gradient

    | kind     | r                                                                                                 |
    |----------|---------------------------------------------------------------------------------------------------|
    | "random" | normal, of standard deviation e                                                                   |
    | "worst"  | in [-e, e]: uniform, then `steps` times r <- clip(r + 2.5 e / (steps + 1) sign(dKL/dr), -e, e)    |

    e is `strength` times the standard deviation of each channel over the batch, because the range of what a network is
    given is not known. Values are not clipped to any range.

    Both predictions are made in inference mode: dropout is off, batch normalization uses its moving statistics and
    leaves them as they are. The few masked images would give poor statistics, and a prediction in training mode
    differs from itself.

    Args:
      kind: "random" or "worst".
      strength: Size of the perturbation in standard deviations of the input, > 0.
      steps: Gradient steps of "worst", >= 1; each costs a forward and a backward pass of the masked images.
      seed: Of the draws, which are those of the seed and the number of the training step.
      reduction: "batch", "masked" or "class_balanced", as for `AttentionLoss`.

    Raises:
      InputError: An argument is outside its range, or `steps` is given for "random".

    Source: Heo et al., "Use Perturbations when Learning from Explanations", NeurIPS 2023, for robustness to changes of
      what annotators call irrelevant, on average and at worst; the divergence, with its stopped gradient, from virtual
      adversarial training (Miyato et al. 2018). Their loss is the cross entropy of the perturbed image: ours leaves
      the class weights and labels to L_c. One step of 1.25 e from a random start: Wong et al. 2020; of 2.5 e / steps:
      Madry et al. 2018.
    """

    def __init__(
        self,
        kind: str = "random",
        strength: float = 0.5,
        steps: int = 1,
        seed: int = 0,
        reduction: str = "batch",
    ):
        super().__init__(reduction)
        self.kind = checked_choice("kind", kind, KINDS)
        self.strength = checked_number("strength", strength, is_open=True)
        self.steps = checked_whole("steps", steps, 1)
        self.seed = checked_whole("seed", seed, 0)
        if kind == "random" and steps != 1:
            raise InputError(f'Only kind="worst" takes gradient steps. Received steps={steps!r} for kind={kind!r}.')

    def per_image(
        self, log_probabilities: LogProbabilities, images: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """L_i of every image; see `OutsideLoss.per_image`."""
        outside = outside_of(mask, images)
        before = tf.stop_gradient(log_probabilities(images))
        size = tf.cast(self.strength * scale, images.dtype)
        seed = tf.random.experimental.stateless_fold_in(seed, self.seed)
        if self.kind == "random":
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
