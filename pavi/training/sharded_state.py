"""The part of a Lightning checkpoint that a rank owns, taken out of it and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from pavi.guides.base import Guide
from pavi.training.chunks import Slice
from pavi.training.sharding import Sharding

VALUE = "value"  # of a table, beside what its optimiser remembers of it


@final
class ShardedState:
    """The owned tables in a checkpoint, with the state of their optimiser.

    Tensors are named by site and kind, as `pi/value` and `pi/memory`.

    Args:
        sharding: The tables of this rank.
        names: Per owned site, the name of its table in the state of the LightningModule.
        positions: Per owned site, its number among the tables that are optimised row by row.
    """

    def __init__(
        self, sharding: Sharding, *, names: Mapping[str, str], positions: Mapping[str, int]
    ) -> None:
        self._sharding, self._names, self._positions = sharding, names, positions

    def take(self, checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The checkpoint less what this rank owns, and that, `(*plates, width)`."""
        common = {**checkpoint, "state_dict": dict(checkpoint["state_dict"])}
        if "optimizer_states" in checkpoint:
            (optimizer,) = checkpoint["optimizer_states"]
            common["optimizer_states"] = [{**optimizer, "state": dict(optimizer["state"])}]
        owned: dict[str, Tensor] = {}
        for site, name in self._names.items():
            found = {VALUE: common["state_dict"].pop(name)}
            for optimizer in common.get("optimizer_states", ()):
                found |= optimizer["state"].pop(self._number(optimizer, site), {})
            shape = self._sharding.shape(site)
            owned |= {f"{site}/{kind}": value.view(*shape, -1) for kind, value in found.items()}
        return common, owned

    def put(self, common: dict[str, Any], owned: Mapping[str, Tensor]) -> dict[str, Any]:
        """The checkpoint of this rank."""
        for key, value in owned.items():
            site, kind = key.split("/")
            rows = value.flatten(0, -2)
            if kind == VALUE:
                common["state_dict"][self._names[site]] = rows
                continue
            (optimizer,) = common["optimizer_states"]
            state = optimizer["state"].setdefault(self._number(optimizer, site), {})
            state[kind] = rows
        return common

    def slices(self, names: Mapping[str, Any]) -> dict[str, Slice]:
        """Where owned tensors lie among those of all ranks."""
        return {name: self._sharding.slice_of(name.split("/")[0]) for name in names}

    def empty(self, name: str, *, size: torch.Size, dtype: torch.dtype) -> Tensor:
        """A tensor to read an owned one into.

        Args:
            name: Of the tensor.
            size: What all ranks have of it, in a checkpoint.
            dtype: Of its numbers.

        Raises:
            ValueError: If all ranks of this run have another size of it.
        """
        site = name.split("/")[0]
        if site not in self._names:
            raise ValueError(f"it has rows of site {site!r}; this run has {list(self._names)}")
        found = torch.empty(*self._sharding.shape(site), size[-1], dtype=dtype)
        if (whole := self._sharding.slice_of(site).whole(found.shape)) != size:
            raise ValueError(
                f"it has {tuple(size[:-1])} rows of site {site!r}, and the data of this run "
                f"{tuple(whole[:-1])}"
            )
        return found

    def _number(self, optimizer: Mapping[str, Any], site: str) -> int:
        """The number of a table in the state of `RowAdam`."""
        (tables,) = [group["params"] for group in optimizer["param_groups"] if group["rows"]]
        return int(tables[self._positions[site]])


def sharded_state(module: nn.Module, guide: Guide, sharding: Sharding) -> ShardedState:
    """Where in the checkpoints of a module the tables are that a rank owns.

    Args:
        module: What the checkpoints hold the state of.
        guide: Its guide.
        sharding: The tables of the guide.
    """
    called = {id(parameter): name for name, parameter in module.named_parameters()}
    order = {id(table): number for number, table in enumerate(guide.tables())}
    return ShardedState(
        sharding,
        names={site: called[id(table)] for site, table in sharding.owned.items()},
        positions={site: order[id(table)] for site, table in sharding.owned.items()},
    )
