"""Which part of the network a stage trains. What is frozen computes as in serving: its batch norms do not move."""

from __future__ import annotations

from torch import nn

from cxrviewer.errors import ConfigurationError
from cxrviewer.training.config import Stage

Block = list[nn.Module]


def blocks_of(backbone: nn.Module) -> list[Block]:
    """The parts of a backbone in the order in which they run; norms and activations belong to the part before them.

    A part is a child that holds weights of more than one dimension. A backbone that is one such child around others
    is looked into.
    """
    blocks: list[Block] = []
    for child in backbone.children():
        if any(p.ndim > 1 for p in child.parameters()):
            blocks.append([child])
        elif blocks:
            blocks[-1].append(child)
    if len(blocks) == 1 and any(True for _ in blocks[0][0].children()):
        return blocks_of(blocks[0][0])
    return blocks


def trained_part(backbone: nn.Module, stage: Stage) -> Block:
    """The modules of a backbone that a stage trains. Raises ConfigurationError where it has fewer blocks."""
    if stage.trains == "all":
        return [backbone]
    if stage.trains == "heads":
        return []
    blocks = blocks_of(backbone)
    if stage.layers > len(blocks):
        raise ConfigurationError(
            f"The last {stage.layers} blocks are to be trained, and the backbone has {len(blocks)}.",
            'Choose fewer layers, or "trains": "all".',
        )
    return [module for block in blocks[len(blocks) - stage.layers :] for module in block]


def freeze_all_but(backbone: nn.Module, trained: Block) -> None:
    """Set `requires_grad`, and forget the gradients of what is frozen: the optimiser then passes it over, decay too."""
    keep = {id(p) for module in trained for p in module.parameters()}
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in keep)
        if id(parameter) not in keep:
            parameter.grad = None


def set_modes(backbone: nn.Module, trained: Block) -> None:
    """Training mode for what is trained, evaluation mode for the rest."""
    backbone.eval()
    for module in trained:
        module.train()
