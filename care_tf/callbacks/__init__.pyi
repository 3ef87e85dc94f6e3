from ._deferred_reweighting import DeferredReweighting
from .care_tensorboard import CARETensorBoard
from .finite_loss import FiniteLoss
from .two_stage_schedule import TwoStageSchedule

__all__ = ["CARETensorBoard", "DeferredReweighting", "FiniteLoss", "TwoStageSchedule"]
