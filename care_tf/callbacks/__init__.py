"""Callbacks for `fit`: the two-stage schedule, deferred re-weighting and the guard against a NaN loss."""

from care_tf.callbacks.deferred_reweighting import DeferredReweighting
from care_tf.callbacks.finite_loss import FiniteLoss
from care_tf.callbacks.two_stage_schedule import TwoStageSchedule

__all__ = ["DeferredReweighting", "FiniteLoss", "TwoStageSchedule"]
