"""ViT-B/16 (Dosovitskiy et al., ICLR 2021; arXiv 2010.11929), giving its patches' tokens as a grid of feature maps.

The same function as torchvision's up to the last layer norm; a test holds the two together. There the class token alone
is read; here the heads read the mean over the patches, as of any other network's places, so that a map says where. The
class token still takes part in every block.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

PATCH, WIDTH, HEADS, HIDDEN, BLOCKS = 16, 768, 12, 3072, 12
MIDDLE = BLOCKS // 2
"""After so many blocks stands what auxiliary tasks read."""
EPS = 1e-6


class Patches(nn.Module):
    """(N, C, S, S) -> (N, 1 + (S / 16)^2, WIDTH): the class token and one token a patch, each with its position.

    Positions are learnt for pictures of side `size`; for others they are drawn out over the patches (bicubic).
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.side = size // PATCH
        self.conv_proj = nn.Conv2d(channels, WIDTH, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embedding = nn.Parameter(torch.empty(1, 1 + self.side**2, WIDTH))
        if not self.pos_embedding.is_meta:
            nn.init.normal_(self.pos_embedding, std=0.02)
            nn.init.trunc_normal_(self.conv_proj.weight, std=(channels * PATCH**2) ** -0.5)
            nn.init.zeros_(self.conv_proj.bias)  # type: ignore[arg-type]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The tokens before the first block."""
        maps = self.conv_proj(pictures)
        places = self.pos_embedding[:, 1:]
        side = int(maps.shape[-1])
        if side != self.side:
            places = stretched(places, side)
        tokens = maps.flatten(2).permute(0, 2, 1)
        # The class token is the first row of what is added, so that it need not be repeated for every picture.
        first = self.class_token + self.pos_embedding[:, :1]
        added: torch.Tensor = pad(tokens, (0, 0, 1, 0)) + torch.cat([first, places], 1)
        return added


def stretched(places: torch.Tensor, side: int) -> torch.Tensor:
    """Positions (1, h * h, WIDTH) of a square grid -> (1, side * side, WIDTH)."""
    old = math.isqrt(int(places.shape[1]))
    grid = places.transpose(1, 2).reshape(1, -1, old, old)
    return interpolate(grid, (side, side), mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Every token looks at every other one. (N, L, WIDTH) -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj = nn.Linear(WIDTH, 3 * WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)
        if not self.in_proj.weight.is_meta:
            nn.init.xavier_uniform_(self.in_proj.weight)
            nn.init.zeros_(self.in_proj.bias)
            nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Softmax attention of HEADS heads."""
        length = int(tokens.shape[1])
        split = self.in_proj(tokens).reshape(-1, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        queries, keys, values = split.unbind(0)
        seen = scaled_dot_product_attention(queries, keys, values)
        mixed: torch.Tensor = self.out_proj(seen.permute(0, 2, 1, 3).reshape(-1, length, WIDTH))
        return mixed


class Block(nn.Module):
    """Attention, then two dense layers on each token; each adds to what came before. (N, L, WIDTH) -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH, eps=EPS)
        self.self_attention = Attention()
        self.ln_2 = nn.LayerNorm(WIDTH, eps=EPS)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))
        for layer in (self.mlp[0], self.mlp[2]):
            assert isinstance(layer, nn.Linear)
            if not layer.weight.is_meta:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """One block."""
        tokens = tokens + self.self_attention(self.ln_1(tokens))
        added: torch.Tensor = tokens + self.mlp(self.ln_2(tokens))
        return added


class Grid(nn.Module):
    """(N, 1 + side * side, WIDTH) -> (N, WIDTH, side, side): the patches' tokens where the patches are."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Without the class token."""
        side = math.isqrt(int(tokens.shape[1]) - 1)
        return tokens[:, 1:].permute(0, 2, 1).reshape(-1, WIDTH, side, side)


class VisionTransformer(nn.Sequential):
    """(N, C, S, S) -> (N, WIDTH, S / 16, S / 16). `middle` shows the tokens half way as maps; no more."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The last layer norm's tokens, as maps."""
        maps = pictures
        for name, child in self.named_children():
            shown = child(maps)
            maps = maps if name == "middle" else shown
        return maps


def vit_b16(channels: int, size: int) -> VisionTransformer:
    """With random weights, positions for pictures of that side (a multiple of 16)."""
    network = VisionTransformer()
    network.add_module("patches", Patches(channels, size))
    for number in range(BLOCKS):
        network.add_module(f"block{number}", Block())
        if number + 1 == MIDDLE:
            network.add_module("middle", Grid())
    network.add_module("norm", nn.LayerNorm(WIDTH, eps=EPS))
    network.add_module("grid", Grid())
    return network
