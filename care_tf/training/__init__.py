"""Training: the CARE model, its two-stage schedule and runs as lists of stages."""

from care_tf.stage import Stage
from care_tf.training.care_model import CAREModel
from care_tf.training.deferred_reweighting import DeferredReweighting
from care_tf.training.finite_loss import FiniteLoss
from care_tf.training.stages import StageRun, StageSetup, run_stages
from care_tf.training.two_stage_schedule import TwoStageSchedule

__all__ = [
    "CAREModel",
    "DeferredReweighting",
    "FiniteLoss",
    "Stage",
    "StageRun",
    "StageSetup",
    "TwoStageSchedule",
    "run_stages",
]
