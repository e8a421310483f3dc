"""A pre-norm transformer encoder whose layers start apart."""

from __future__ import annotations

from torch import nn


def build_encoder(
    width: int, *, num_layers: int, num_heads: int, dropout: float
) -> nn.TransformerEncoder:
    """Build the encoder of this package: pre-norm, feed-forward of 4 D, GELU, a final norm.

    Each layer is drawn by itself. `nn.TransformerEncoder` alone copies one layer, so that all start
    with the same weights; its documentation warns of that. The names of the weights are its own.

    Each layer starts as `nn.TransformerEncoderLayer` does: query, key and value by Xavier uniform
    (standard deviation (2 D)^-½), the three other matrices uniform within ± fan_in^-½ (standard
    deviation (3 fan_in)^-½, where fan_in is D, or 4 D in the second of the feed-forward), biases of
    attention 0, those of the feed-forward within ± fan_in^-½, norms 1 and 0.

    Source:
        `nn.TransformerEncoderLayer` of PyTorch 2.9.
    """
    layers = [
        nn.TransformerEncoderLayer(
            d_model=width,
            nhead=num_heads,
            dim_feedforward=4 * width,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        for _ in range(num_layers)
    ]
    encoder = nn.TransformerEncoder(
        layers[0], num_layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
    )
    encoder.layers = nn.ModuleList(layers)
    return encoder
