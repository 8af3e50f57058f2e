"""The projection onto a large vocabulary: right, and never whole."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from rftlab import forward
from rftlab.forward import project

VOCABULARY, HIDDEN = 152_000, 8


class PeakBytes(TorchDispatchMode):
    """Bytes of the storages that are alive at once, of tensors made under this mode."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = WeakIdKeyDictionary(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.alive[tensor.untyped_storage()] = tensor.untyped_storage().nbytes()
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


def head_and(tokens):
    generator = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False).requires_grad_(False)
    head.weight.normal_(generator=generator)
    hidden = torch.randn(tokens, HIDDEN, generator=generator, requires_grad=True)
    return head, hidden, torch.randint(VOCABULARY, (tokens,), generator=generator)


def peak_of(tokens):
    head, hidden, targets = head_and(tokens)
    with PeakBytes() as mode:
        project(head, hidden, targets, 0.9).sum().backward()
    return mode.peak


def test_peak_memory_does_not_grow_with_vocabulary_times_tokens(monkeypatch):
    monkeypatch.setattr(forward, "LOGIT_ELEMENTS", 16 * VOCABULARY)
    short, long = peak_of(32), peak_of(128)
    more = 96 * (8 + 4 * 4 * HIDDEN)  # targets and a few [M, H] and [M]
    assert short > 16 * VOCABULARY * 4 and long - short < 4 * more
    monkeypatch.setattr(forward, "LOGIT_ELEMENTS", 1 << 40)  # the measure sees what the bound prevents
    assert peak_of(128) - peak_of(32) > 96 * VOCABULARY * 4


@pytest.mark.parametrize("dtype, within", [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_log_probs_and_gradient_are_those_of_the_whole_softmax(monkeypatch, dtype, within):
    head, hidden, targets = head_and(7)
    head, hidden = head.to(dtype), hidden.detach().to(dtype).requires_grad_()
    upstream = torch.linspace(-1, 2, 7)
    monkeypatch.setattr(forward, "LOGIT_ELEMENTS", 3 * VOCABULARY)
    found = project(head, hidden, targets, 0.7)
    (gradient,) = torch.autograd.grad((found * upstream).sum(), hidden)
    whole = hidden.detach().float().requires_grad_()
    want = torch.log_softmax(whole @ head.weight.float().T / 0.7, -1).gather(1, targets[:, None])[:, 0]
    (wanted,) = torch.autograd.grad((want * upstream).sum(), whole)
    assert torch.linalg.norm(found - want) <= within * torch.linalg.norm(want)
    assert torch.linalg.norm(gradient - wanted) <= within * torch.linalg.norm(wanted)
    assert gradient.dtype == dtype and found.dtype == torch.float32


@pytest.mark.gpu
def test_ligers_projection_is_ours():
    """Without a GPU too, where Triton interprets its kernels: TRITON_INTERPRET=1."""
    pytest.importorskip("liger_kernel")
    from rftlab.base_options import liger_projection

    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(64, 500, bias=False, device=device).requires_grad_(False)
    hidden = torch.randn(40, 64, generator=generator).to(device).requires_grad_()
    targets = torch.randint(500, (40,), generator=generator).to(device)
    upstream = torch.linspace(-1, 2, 40, device=device)
    found = [project_(head, hidden, targets, 0.7) for project_ in (project, liger_projection())]
    gradients = [torch.autograd.grad((logp * upstream).sum(), hidden)[0] for logp in found]
    for ours, ligers in (found, gradients):
        assert torch.linalg.norm(ours - ligers) <= 1e-3 * torch.linalg.norm(ours)
