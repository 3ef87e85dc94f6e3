"""The forms of attention supervision by their names: what takes the place of L_a in the objective."""

from care_tf.losses._attention import DEFAULTS, FORMS, AttentionLoss, check_unused
from care_tf.losses._masked_loss import MaskedLoss
from care_tf.settings import Choice, Entry, Setting

ATTENTION_FORMS: dict[str, Entry] = {form: Entry() for form in FORMS}
"""Name -> the arguments that may stand beside it."""


def get_attention_loss(
    form: Setting = "care",
    tau: float = DEFAULTS["tau"],
    lam: float = DEFAULTS["lam"],
    reduction: str = "batch",
    outside: str = DEFAULTS["outside"],
) -> MaskedLoss:
    """The loss that a form of a configuration means.

    Args:
      form: A name from `ATTENTION_FORMS`, or {"name": ..., **arguments}.
      tau: As for `AttentionLoss`, as are those that follow.
      lam: Likewise.
      reduction: Likewise, of every form.
      outside: Likewise.

    Returns:
      What `CAREModel` takes as `attention_loss`.

    Raises:
      InputError: The name or an argument is unknown, out of range, or not used by the form.

    Example:
      >>> get_attention_loss("energy", reduction="masked").form
      'energy'
    """
    choice = Choice.read(form, ATTENTION_FORMS, "form of the attention loss")
    return AttentionLoss(tau, lam, reduction, outside, choice.name)
