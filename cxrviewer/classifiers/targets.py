"""Which logit is meant. Apart from the network, so that stored answers are read without loading torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxrviewer.errors import UnknownTargetError
from cxrviewer.labels import PNEUMONIA, Head


@dataclass(frozen=True)
class Target:
    """One logit: which head, which label of it. Written `pneumonia`, `Effusion`, `findings:Pneumonia`."""

    head: Head
    label: str

    @property
    def name(self) -> str:
        """The name that leads back here without doubt."""
        return (
            self.label
            if self.head is Head.PNEUMONIA or self.label.lower() != PNEUMONIA
            else f"{self.head}:{self.label}"
        )

    @property
    def slug(self) -> str:
        """The name as a part of a file name: lower case letters, digits and dashes."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower())


def index_of(targets: Sequence[Target], target: Target) -> int:
    """Position of a target. Raises UnknownTargetError."""
    if target not in targets:
        raise UnknownTargetError(f"The model has no target called {target.name}.", known(targets))
    return list(targets).index(target)


def parse_target(text: str, targets: Sequence[Target]) -> Target:
    """The target that a name stands for: a finding, `pneumonia` (the binary head) or `head:label`.

    Case is ignored except between the two heads' pneumonia: `Pneumonia` is the finding. Raises
    UnknownTargetError naming those there are.
    """
    names = [(name, target) for target in targets for name in (f"{target.head}:{target.label}", target.label)]
    for same in (str.__eq__, _same_but_for_case):
        matches = {target for name, target in names if same(name, text)}
        if len(matches) == 1:
            return matches.pop()
    raise UnknownTargetError("The model has no target of that name.", known(targets))


def _same_but_for_case(name: str, text: str) -> bool:
    return name.lower() == text.lower()


def known(targets: Sequence[Target]) -> str:
    """The remedy of an unknown target."""
    return f"Choose one of {', '.join(target.name for target in targets)}."
