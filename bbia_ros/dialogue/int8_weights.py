"""Weights of a language model as int8 with a scale per row; activations stay bfloat16.

transformers maps a safetensors file of the wanted type instead of reading it. Each matrix is replaced as soon as its
int8 form is made, and its pages of the file are let go, so the peak is the int8 model and one matrix more (torch's own
dynamic quantisation peaks at twice the float model). Half the memory of bfloat16; an error of at most half a step,
1/254 of a row's largest weight. torch is imported inside functions.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

_MADV_DONTNEED = 4

FEW_ROWS = 8
"""Up to so many tokens at once torch's int8 kernel is faster than making the matrix bfloat16 for the product."""


def quantise(model: Any) -> None:
    """Replaces the linear layers and embeddings of a transformers model on the CPU, in place.

    A matrix that an embedding and the output layer share (tied weights) stays shared.
    """
    import torch

    shared: dict[int, tuple[Any, Any]] = {}  # matrices stay alive until the end through `kept`: ids are not used again
    kept = []
    for name, module in list(model.named_modules()):
        if not isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            continue
        weight = module.weight
        if id(weight) not in shared:
            shared[id(weight)] = _rows_to_int8(torch, weight.data)
            kept.append(weight)
            _let_go(weight.data)
            weight.data = weight.data.new_empty(0)  # every holder of a tied matrix lets go of it here
        parent, _, last = name.rpartition(".")
        replacement = _layer_classes(torch)[isinstance(module, torch.nn.Embedding)]
        setattr(model.get_submodule(parent), last, replacement(*shared[id(weight)], getattr(module, "bias", None)))
    for small in (*model.parameters(), *(b for b in model.buffers() if b.dtype != torch.int8)):
        small.data = small.data.clone()  # norms and biases would keep the whole file mapped


def _let_go(weight: Any) -> None:
    """Gives the whole pages under a matrix that nobody will read again back to the system."""
    start = -(-weight.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (weight.data_ptr() + weight.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - start
    if weight.is_contiguous() and length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)


def _rows_to_int8(torch: Any, weight: Any) -> tuple[Any, Any]:
    """(int8 [rows, columns], bfloat16 scale [rows]) of a matrix."""
    scale = (weight.abs().amax(dim=1).float() / 127.0).clamp(min=1e-12).to(torch.bfloat16)
    steps = torch.empty(weight.shape, dtype=torch.int8)
    for start in range(0, weight.shape[0], 4096):  # a vocabulary's matrix in float32 would be the peak
        rows = slice(start, start + 4096)
        steps[rows] = (weight[rows].float() / scale[rows, None].float()).round_().clamp_(-127, 127).to(torch.int8)
    return steps, scale


_classes: list[tuple[Any, Any]] = []


def _layer_classes(torch: Any) -> tuple[Any, Any]:
    """Int8Linear and Int8Embedding; made once, when torch is there."""
    if _classes:
        return _classes[0]

    class Int8Layer(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, steps: Any, scale: Any, bias: Any) -> None:
            super().__init__()
            self.register_buffer("steps", steps)
            self.register_buffer("scale", scale)
            self.bias = bias

    class Int8Linear(Int8Layer):
        """x W^T + b."""

        def forward(self, x: Any) -> Any:
            rows = x.reshape(-1, x.shape[-1])
            if rows.shape[0] <= FEW_ROWS and rows.device.type == "cpu" and rows.dtype == torch.bfloat16:
                product = torch._weight_int8pack_mm(rows, self.steps, self.scale)
            else:
                product = torch.nn.functional.linear(rows, self.steps.to(rows.dtype)) * self.scale
            product = product.reshape(*x.shape[:-1], self.steps.shape[0])
            return product if self.bias is None else product + self.bias

    class Int8Embedding(Int8Layer):
        """The rows of the tokens."""

        def forward(self, tokens: Any) -> Any:
            return self.steps[tokens].to(self.scale.dtype) * self.scale[tokens].unsqueeze(-1)

    _classes.append((Int8Linear, Int8Embedding))
    return _classes[0]
