"""Where models run, and how exact the products are there."""

import torch

_HALVES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(*, cpu: bool = False) -> str:
    """`cuda` where there is a GPU and it is not forbidden, else `cpu`.

    A GPU's fp32 products are TF32's from then on, in the whole process: ten binary digits of 23, at
    several times the speed.
    """
    if cpu or not torch.cuda.is_available():
        return "cpu"
    use_tensor_cores()
    return "cuda"


def use_tensor_cores() -> None:
    """Let fp32 products of a GPU be TF32's; does nothing to those of a CPU."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


def resolve_precision(precision: str, device: torch.device) -> str:
    """The precision that products have: `auto` is bf16 on a GPU that has it, else fp32."""
    if precision != "auto":
        return precision
    on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if on_gpu else "fp32"


def half_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """What products are computed in; None for the type of the weights."""
    return _HALVES[resolve_precision(precision, device)]
