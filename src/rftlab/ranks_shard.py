"""A base that does not fit on one GPU, split over the ranks: FSDP2 (``torch.distributed.fsdp.fully_shard``)."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from rftlab.core import InputError
from rftlab.models import decoder_layers


def split(model: Any, device: torch.device, size: int) -> Any:
    """Splits the decoder layers of a peft model over ``size`` ranks, and moves the rest to ``device``.

    A layer is gathered when it is needed, and is work of all ranks from then on. The adapter stays whole on every rank,
    as do embeddings, vocabulary projection and the last norm, which the update uses outside of the model's own forward.
    The base is frozen, so nothing but its weights travels: the adapter's gradient is summed as without sharding.
    """
    body = model.get_base_model().base_model
    layers = decoder_layers(body)
    if not layers:
        raise InputError(f"shard=true: {type(body).__name__} has no layers that can be split; give shard=false")
    whole = {p for p in model.parameters() if p.requires_grad}
    mesh = init_device_mesh(device.type, (size,))
    for layer in layers:
        fully_shard(layer, mesh=mesh, ignored_params=whole)
        whole |= set(layer.parameters())
    fully_shard(body, mesh=mesh, ignored_params=whole | set(body.parameters()))  # the root, which orders the gathering
    return model.to(device)
