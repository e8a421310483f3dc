"""The temporal transformer over the frames of whole videos, in memory that grows with the frames.

`build_encoder` would do, but for its memory: where weights of attention are dropped, and where no
gradient is asked for, torch's layers hold those of every pair of frames.
"""

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Bool, Float
from torch import Tensor, nn

from figclip.heads.text_decoder import join_heads, split_heads


class FrameEncoder(nn.Module):
    """A pre-norm encoder with weights named, shaped and drawn as those of `build_encoder`.

    Dropout is that of the outputs of attention and of the feed-forward network; weights of
    attention have none.
    """

    def __init__(self, width: int, *, num_layers: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _FrameLayer(
                d_model=width,
                nhead=num_heads,
                dim_feedforward=4 * width,
                dropout=dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, frames_BSD: Float[Tensor, "B S D"], *, present_BS: Bool[Tensor, "B S"]
    ) -> Float[Tensor, "B S D"]:
        """Contextualised frames; absent ones are seen by no other."""
        # Without padding there is nothing to mask, which is faster on a GPU.
        mask_B11S = None if bool(present_BS.all()) else present_BS[:, None, None]
        for layer in self.layers:
            frames_BSD = layer(frames_BSD, mask_B11S)
        return self.norm(frames_BSD)


class _FrameLayer(nn.TransformerEncoderLayer):
    """The weights of torch's layer, and a forward pass that never holds all pairs of frames."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, frames_BSD: Tensor, mask_B11S: Tensor | None
    ) -> Tensor:
        """The frames after this layer."""
        attention = self.self_attn
        normed = self.norm1(frames_BSD)
        in_all = F.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = (split_heads(one, attention.num_heads) for one in in_all.chunk(3, -1))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask_B11S)
        frames_BSD = frames_BSD + self.dropout1(attention.out_proj(join_heads(attended)))
        return frames_BSD + self._ff_block(self.norm2(frames_BSD))
