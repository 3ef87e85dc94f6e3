"""Callbacks for `fit`: the two-stage schedule and the guard against a NaN loss."""

from care_tf.training.finite_loss import FiniteLoss
from care_tf.training.two_stage_schedule import TwoStageSchedule

__all__ = ["FiniteLoss", "TwoStageSchedule"]
