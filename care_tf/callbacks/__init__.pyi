from ._deferred_reweighting import DeferredReweighting
from .finite_loss import FiniteLoss
from .two_stage_schedule import TwoStageSchedule

__all__ = ["DeferredReweighting", "FiniteLoss", "TwoStageSchedule"]
