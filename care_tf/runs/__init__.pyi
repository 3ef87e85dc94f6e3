from ._folder import LoadedRun, load_run
from ._run_evaluation import evaluate_run
from ._run_training import train_run

__all__ = ["LoadedRun", "evaluate_run", "load_run", "train_run"]
