"""Training on PyTorch Lightning."""

from pavi.training.callbacks import FitProgress, History
from pavi.training.checkpoints import check_checkpoint, checkpointing, latest_checkpoint
from pavi.training.compilation import compiled
from pavi.training.optimization import Optimization
from pavi.training.quiet import quiet
from pavi.training.row_adam import RowAdam
from pavi.training.run import train
from pavi.training.sharded_checkpoints import ShardedCheckpoints
from pavi.training.sharding import assembled
from pavi.training.step_log import StepLog
from pavi.training.strategy import RanksDDP, rank_and_ranks, strategy_of
from pavi.training.variational_inference import NonFiniteLossError, VariationalInference

__all__ = [
    "FitProgress",
    "History",
    "NonFiniteLossError",
    "Optimization",
    "RanksDDP",
    "RowAdam",
    "ShardedCheckpoints",
    "StepLog",
    "VariationalInference",
    "assembled",
    "check_checkpoint",
    "checkpointing",
    "compiled",
    "latest_checkpoint",
    "quiet",
    "rank_and_ranks",
    "strategy_of",
    "train",
]
