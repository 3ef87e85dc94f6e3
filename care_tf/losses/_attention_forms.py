"""The forms of attention supervision by their names: what takes the place of L_a in the objective."""

from care_tf.losses._attention import DEFAULTS, FORMS, AttentionLoss, check_unused
from care_tf.losses._input_gradient import InputGradient
from care_tf.losses._outside_perturbation import OutsidePerturbation
from care_tf.losses.outside_loss import OutsideLoss
from care_tf.settings import Builder, Choice, Entry, Setting

_STRENGTH = "in standard deviations of the input, > 0"
_OF_NETWORKS = {
    "perturbation": Builder(
        build=OutsidePerturbation,
        arguments={"kind": "random or worst", "strength": _STRENGTH, "steps": "of worst, >= 1", "seed": ""},
    ),
    "input_gradient": Builder(build=InputGradient, arguments={"strength": _STRENGTH}),
}
ATTENTION_FORMS: dict[str, Entry] = {**{form: Entry() for form in FORMS}, **_OF_NETWORKS}
"""Name -> the arguments that may stand beside it."""


def get_attention_loss(
    form: Setting = "care",
    tau: float = DEFAULTS["tau"],
    lam: float = DEFAULTS["lam"],
    reduction: str = "batch",
    outside: str = DEFAULTS["outside"],
) -> AttentionLoss | OutsideLoss:
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
    if choice.name not in _OF_NETWORKS:
        return AttentionLoss(tau, lam, reduction, outside, choice.name)
    check_unused(choice.name, (), {"tau": tau, "lam": lam, "outside": outside})
    return _OF_NETWORKS[choice.name].build(**choice.arguments, reduction=reduction)
