"""Training on PyTorch Lightning."""

from pavi.training.callbacks import FitProgress, History
from pavi.training.checkpoint_files import WholeCheckpoints, common_file
from pavi.training.checkpoints import Checkpoints, checkpoint_to_resume, latest_checkpoint
from pavi.training.compilation import compiled
from pavi.training.optimization import Optimization
from pavi.training.quiet import quiet
from pavi.training.ranks import RankError
from pavi.training.row_adam import RowAdam
from pavi.training.run import train
from pavi.training.sharded_checkpoints import ShardedCheckpoints
from pavi.training.sharding import assembled, initialise_guide
from pavi.training.step_log import StepLog
from pavi.training.stopping import (
    GO_ON,
    FitStopped,
    ProcessLostError,
    StopSignals,
    exits_on_signals,
    fit_until_stopped,
    loss_told,
)
from pavi.training.strategy import RanksDDP, rank_and_ranks, strategy_of
from pavi.training.variational_inference import NonFiniteLossError, VariationalInference

__all__ = [
    "GO_ON",
    "Checkpoints",
    "FitProgress",
    "FitStopped",
    "History",
    "NonFiniteLossError",
    "Optimization",
    "ProcessLostError",
    "RankError",
    "RanksDDP",
    "RowAdam",
    "ShardedCheckpoints",
    "StepLog",
    "StopSignals",
    "VariationalInference",
    "WholeCheckpoints",
    "assembled",
    "checkpoint_to_resume",
    "common_file",
    "compiled",
    "exits_on_signals",
    "fit_until_stopped",
    "initialise_guide",
    "latest_checkpoint",
    "loss_told",
    "quiet",
    "rank_and_ranks",
    "strategy_of",
    "train",
]
