"""BACKBONES: the networks to choose from, and what each is made for. Reading the table loads no network library.

Every one is a function (N, C, S, S) -> (N, F, h, w), the feature maps that Grad-CAM reads; what follows is mean pooling
over the places (or the network's own `neck`) and the heads. The children of the module that `build` gives are its
blocks, in the order in which they run: "the last two blocks" means its last two children that hold weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cxrviewer.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import nn


class Options(BaseModel):
    """What a backbone lets one choose. Most have nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ResnetBlocks(Options):
    """blocks: residual blocks a stage; widths: channels a stage, of which each after the first halves the picture."""

    blocks: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field((2, 2, 2, 2), min_length=1, max_length=5)
    widths: tuple[Annotated[int, Field(ge=4, le=2048)], ...] = Field((32, 64, 128, 256), min_length=1)

    @model_validator(mode="after")
    def _as_many(self) -> ResnetBlocks:
        if len(self.blocks) != len(self.widths):
            raise ValueError(
                f"blocks names {len(self.blocks)} stages and widths {len(self.widths)}; give one width a stage"
            )
        return self


class Member(Options):
    """One of the networks of an average: an entry of the table and what was chosen of it."""

    backbone: str
    options: dict[str, JsonValue] = {}


class Members(Options):
    """The networks whose feature maps stand side by side."""

    members: tuple[Member, ...] = Field(min_length=1, max_length=16)


Builder = Callable[[int, int, Options], "nn.Module"]
"""(channels, side of the picture, options) -> the feature part, with random weights."""
Neck = Callable[[int, Options], "nn.Module"]
"""(side of the picture, options) -> (N, F, h, w) to (N, pooled width), where that is not the mean over places."""


@dataclass(frozen=True)
class Backbone:
    """One entry of the table, or one with its options chosen (`backbone()`).

    width: F, channels of the feature maps. feature_layer: name of the submodule whose output they are. middle: name of
    the submodule whose output (N, middle_width, about S/16, S/16) auxiliary tasks in training use.
    size: the side in pixels that its published weights were trained at. smallest, multiple: which sides it takes;
    one_size: built for one side and takes no other. weights: their name in `published.PUBLISHED`; None where nobody
    publishes any, and `substitute` then says what to take instead. pooled: what the heads are given, where there is a
    neck; 0: the width. negative: feature maps may go below zero.
    """

    title: str
    builder: Builder
    width: int
    feature_layer: str
    middle: str
    middle_width: int
    size: int = 224
    smallest: int = 32
    multiple: int = 1
    one_size: bool = False
    weights: str | None = None
    substitute: str = "Start it from random weights."
    neck: Neck | None = None
    pooled: int = 0
    negative: bool = False
    kind: type[Options] = Options
    resolve: Callable[[Backbone, Options], Backbone] | None = None
    options: Options = field(default_factory=Options)

    @property
    def pooled_width(self) -> int:
        """Numbers a picture that the heads are given."""
        return self.pooled or self.width

    def check_size(self, size: int) -> None:
        """Raises ConfigurationError where pictures of that side do not fit."""
        if size < self.smallest:
            raise ConfigurationError(
                f"{self.title} needs pictures of at least {self.smallest} pixels a side, and these have {size}.",
                f"Choose a larger size; it was made for {self.size}.",
            )
        if size % self.multiple:
            raise ConfigurationError(
                f"{self.title} takes pictures whose side is a multiple of {self.multiple} pixels; {size} is none.",
                f"Choose {size // self.multiple * self.multiple} or {(size // self.multiple + 1) * self.multiple}.",
            )

    def build(self, channels: int, pretrained: bool = False, size: int = 0) -> nn.Module:
        """(N, channels, S, S) -> (N, width, h, w). size: S where the network must know it; 0: what it is made for.

        pretrained: with the published weights (fetched once, then kept). Raises ConfigurationError where there are
        none, NetworkError where they cannot be fetched.
        """
        size = size or self.size
        self.check_size(size)
        if pretrained and self.weights is None:
            raise ConfigurationError(f"{self.title} has no published weights.", self.substitute)
        features = self.builder(channels, size, self.options)
        if pretrained and self.weights is not None:
            from cxrviewer.classifiers.pretrained import load_published

            load_published(features, self.weights)
        return features


def _torchvision(name: str) -> Builder:
    def build(channels: int, _size: int, _options: Options) -> nn.Module:
        from cxrviewer.classifiers.torchvision_networks import build

        return build(name, channels)

    return build


def _densenet(name: str) -> Builder:
    def build(channels: int, _size: int, _options: Options) -> nn.Module:
        from cxrviewer.classifiers.densenet import densenet

        return densenet(name, channels)

    return build


def _vit(channels: int, size: int, _options: Options) -> nn.Module:
    from cxrviewer.classifiers.vision_transformer import vit_b16

    return vit_b16(channels, size)


def _resnetv2(channels: int, _size: int, _options: Options) -> nn.Module:
    from cxrviewer.classifiers.timm_networks import resnetv2_152

    return resnetv2_152(channels)


def _tiny(channels: int, _size: int, _options: Options) -> nn.Module:
    from cxrviewer.classifiers.small_networks import tiny

    return tiny(channels)


def _small_cnn(channels: int, _size: int, _options: Options) -> nn.Module:
    from cxrviewer.classifiers.small_networks import small_cnn

    return small_cnn(channels)


def _small_cnn_neck(size: int, _options: Options) -> nn.Module:
    from cxrviewer.classifiers.small_networks import small_cnn_neck

    return small_cnn_neck(size)


def _resnet_blocks(channels: int, _size: int, options: Options) -> nn.Module:
    from cxrviewer.classifiers.small_networks import resnet_blocks

    assert isinstance(options, ResnetBlocks)
    return resnet_blocks(channels, options.blocks, options.widths)


def _with_stages(entry: Backbone, options: Options) -> Backbone:
    assert isinstance(options, ResnetBlocks)
    widths = options.widths
    before_last = max(len(widths) - 1, 1)
    return replace(
        entry, width=widths[-1], middle=f"stage{before_last}", middle_width=widths[before_last - 1]
    )


def _average(channels: int, size: int, options: Options) -> nn.Module:
    from cxrviewer.classifiers.small_networks import SideBySide

    return SideBySide(entry.build(channels, size=size) for entry in _members(options))


def _members(options: Options) -> list[Backbone]:
    assert isinstance(options, Members)
    if any(member.backbone == "average" for member in options.members):
        raise ConfigurationError("An average cannot be a member of another one.", "Name its members.")
    return [backbone(member.backbone, member.options) for member in options.members]


def _with_members(entry: Backbone, options: Options) -> Backbone:
    members = _members(options)
    return replace(
        entry,
        width=sum(member.width for member in members),
        middle=f"member0.{members[0].middle}",
        middle_width=members[0].middle_width,
        size=members[0].size,
        smallest=max(member.smallest for member in members),
        multiple=max(member.multiple for member in members),
        negative=any(member.negative for member in members),
    )


def _of_imagenet(name: str) -> str:
    return f"imagenet-{name}"


BACKBONES: dict[str, Backbone] = {
    "densenet121": Backbone(
        "DenseNet-121", _densenet("densenet121"), 1024, "relu5", "denseblock3", 1024,
        weights=_of_imagenet("densenet121"),
    ),
    "densenet169": Backbone(
        "DenseNet-169", _densenet("densenet169"), 1664, "relu5", "denseblock3", 1280,
        weights=_of_imagenet("densenet169"),
    ),
    "resnet18": Backbone(
        "ResNet-18", _torchvision("resnet18"), 512, "relu5", "layer3", 256, weights=_of_imagenet("resnet18"),
    ),
    "resnet50": Backbone(
        "ResNet-50", _torchvision("resnet50"), 2048, "relu5", "layer3", 1024, weights=_of_imagenet("resnet50"),
    ),
    "resnet152": Backbone(
        "ResNet-152", _torchvision("resnet152"), 2048, "relu5", "layer3", 1024,
        weights=_of_imagenet("resnet152"),
    ),
    "resnetv2-152": Backbone(
        "ResNetV2-152", _resnetv2, 2048, "norm", "stage3", 1024,
        substitute="Take resnet152, the same depth with the activations in the older order, whose ImageNet weights "
        "are published; or start it from random weights.",
    ),
    "inception-v3": Backbone(
        "Inception-v3", _torchvision("inception_v3"), 2048, "relu5", "Mixed_6e", 768, size=299, smallest=75,
        weights=_of_imagenet("inception-v3"),
    ),
    "efficientnet-b0": Backbone(
        "EfficientNet-B0", _torchvision("efficientnet_b0"), 1280, "8", "5", 112, negative=True,
        weights=_of_imagenet("efficientnet-b0"),
    ),
    "efficientnet-b4": Backbone(
        "EfficientNet-B4", _torchvision("efficientnet_b4"), 1792, "8", "5", 160, size=380, negative=True,
        weights=_of_imagenet("efficientnet-b4"),
    ),
    "efficientnetv2-s": Backbone(
        "EfficientNetV2-S", _torchvision("efficientnet_v2_s"), 1280, "7", "5", 160, size=384, smallest=33,
        negative=True, weights=_of_imagenet("efficientnetv2-s"),
    ),
    "convnext-tiny": Backbone(
        "ConvNeXt-Tiny", _torchvision("convnext_tiny"), 768, "norm", "5", 384, negative=True,
        weights=_of_imagenet("convnext-tiny"),
    ),
    "vit-b16": Backbone(
        "ViT-B/16", _vit, 768, "grid", "middle", 768, multiple=16, negative=True,
        weights=_of_imagenet("vit-b16"),
    ),
    "small-cnn": Backbone(
        "The small CNN", _small_cnn, 64, "relu2", "relu2", 64, size=150, one_size=True, neck=_small_cnn_neck,
        pooled=64,
    ),
    "resnet-blocks": Backbone(
        "A ResNet of chosen blocks", _resnet_blocks, 256, "relu5", "stage3", 128, kind=ResnetBlocks,
        resolve=_with_stages,
    ),
    "tiny": Backbone("The tiny network", _tiny, 32, "relu2", "relu2", 32, size=64),
}  # fmt: skip

COMPOSED: dict[str, Backbone] = {
    "average": Backbone(
        "An average", _average, 0, "together", "member0", 0, kind=Members, resolve=_with_members,
        substitute="Train its members, and average them.",
    ),
}  # fmt: skip
"""Networks that are made of others (`averaging.py`) and not chosen for a recipe."""


def backbone(name: str, options: Mapping[str, JsonValue] | None = None) -> Backbone:
    """The entry of that name with its options chosen. Raises ConfigurationError: the names there are, or a sentence a
    wrong option."""
    if name not in BACKBONES and name not in COMPOSED:
        raise ConfigurationError(
            f"There is no backbone called {name}.", f"Choose one of {', '.join(BACKBONES)}."
        )
    entry = BACKBONES.get(name) or COMPOSED[name]
    chosen = _chosen(name, entry.kind, options or {})
    entry = replace(entry, options=chosen)
    return entry.resolve(entry, chosen) if entry.resolve else entry


def _chosen(name: str, kind: type[Options], values: Mapping[str, JsonValue]) -> Options:
    try:
        return kind.model_validate(dict(values))
    except ValidationError as exc:
        said = ((".".join(str(part) for part in e["loc"]), e["msg"]) for e in exc.errors())
        sentences = "; ".join(f"{where}: {what}" if where else what for where, what in said)
        known = ", ".join(kind.model_fields)
        raise ConfigurationError(
            f"The options of {name} are refused: {sentences}.",
            f"It takes {known}." if known else "It takes none.",
        ) from exc
