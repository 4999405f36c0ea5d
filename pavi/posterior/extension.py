"""The posterior of other groups, with all that groups share kept as it is.

Shared are the flows, the networks that compute encodings, and the encodings of sites without
plates: what the new data say of these is not learned. Encodings computed from data need one pass
over them. A free encoding of a new row is fitted, everything else frozen: its gradient depends on
its own row and the data below it, so that few steps do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pavi.data import PlateData, PlateDataModule, default_batch
from pavi.encodings.free import FreeEncoder
from pavi.encodings.hybrid import HybridEncoder
from pavi.guides import PlateAmortizedGuide
from pavi.objectives import WarmUp
from pavi.posterior.checks import check_data
from pavi.training import VariationalInference, train


def extended_guide(
    guide: PlateAmortizedGuide,
    old: PlateData,
    data: PlateData,
    *,
    new: Sequence[str] | None,
    batch: Mapping[str, int] | None,
    steps: int,
    seed: int,
    progress: bool,
) -> PlateAmortizedGuide:
    """See `Posterior.extend`."""
    check_data(data, guide.model, observed=True)
    if absent := [site for site in data.model.observed if site not in data.measured]:
        raise ValueError(
            f"extending a posterior needs the observed values of {absent}; the data hold "
            f"{list(data.measured)}. Groups that nobody measured are drawn by predict(data=...)."
        )
    rows = data.rows_in(old)
    check_known(rows, data, new)
    extended = guide.resized(rows)
    free = extended.encoder
    if isinstance(free, HybridEncoder):
        free = free.residual
    if not isinstance(free, FreeEncoder) or steps == 0:
        return extended
    assert isinstance(guide.encoder, FreeEncoder | HybridEncoder)
    before = guide.encoder.residual if isinstance(guide.encoder, HybridEncoder) else guide.encoder
    known = before.known(rows)
    if all(bool(rows_known.all()) for rows_known in known.values()):
        return extended
    tables = {id(table) for table in free.tables().values()}
    frozen = [p for p in extended.parameters() if p.requires_grad and id(p) not in tables]
    hooks = [
        free.table(name).register_hook(_only(rows_known.logical_not()))
        for name, rows_known in known.items()
    ]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        stream = PlateDataModule(
            data, batch=default_batch(data) if batch is None else batch, seed=seed
        )
        module = VariationalInference(extended, warm_up=WarmUp(()), standardise=False)
        module.train()
        train(module, stream, steps=steps, progress=progress)
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        for hook in hooks:
            hook.remove()
    return extended


def _only(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """A gradient hook that keeps the gradient of these rows and no other."""

    def keep(gradient: Tensor) -> Tensor:
        if not gradient.is_sparse:
            return gradient * rows.to(gradient).unsqueeze(-1)
        gradient = gradient.coalesce()
        index = gradient.indices()[0]
        kept = rows.to(index.device)[index]
        return torch.sparse_coo_tensor(
            index[kept].unsqueeze(0),
            gradient.values()[kept],
            size=gradient.shape,
            check_invariants=False,
        )

    return keep


def check_known(rows: Mapping[str, Tensor], data: PlateData, new: Sequence[str] | None) -> None:
    """Only plates that are named have rows with unseen labels.

    Args:
        rows: Per plate, for each row of `data` the fitted row of the same name, or -1.
        data: The data.
        new: The plates that may; all of them if None.

    Raises:
        ValueError: If another plate has such rows, or a name is not that of a plate.
    """
    if new is None:
        return
    if unknown := sorted(set(new) - set(rows)):
        raise ValueError(f"new names {unknown}, which are not plates; plates are {list(rows)}.")
    below = {plate for plate in rows if data.model.plates.ancestors(plate) & set(new)}
    for plate, numbers in rows.items():
        if plate in new or plate in below or plate not in data.labels:
            continue
        unseen = [data.labels[plate][row] for row in torch.nonzero(numbers < 0).flatten().tolist()]
        if unseen:
            raise ValueError(
                f"plate {plate!r} has {len(unseen)} rows that the posterior has not seen, among "
                f"them {unseen[:3]}; only {list(new)} may have new rows. Name {plate!r} in new= "
                "if that is meant."
            )
