"""What a run was submitted with beside its configuration: where it is to compute, from which folder, since when."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from cxrviewer.training.disk import write_whole

TICKET = "ticket.json"


@dataclass(frozen=True)
class Ticket:
    """device: `cpu`, `cuda:0`, ...; one run at a time computes on each. submitted: seconds since 1970.

    folder: the working folder of who submitted it: relative paths of a configuration count from there, whoever
    starts the run later. threads: how many the first process of the run computed with (0: none has yet); the same
    number gives the same weights, bit by bit, after a resume.
    """

    device: str = "cpu"
    submitted: float = 0.0
    folder: str = ""
    threads: int = 0


def write_ticket(path: Path, ticket: Ticket) -> None:
    """Into a run's folder. Raises OSError."""
    write_whole(path / TICKET, json.dumps(dataclasses.asdict(ticket)))


def read_ticket(path: Path) -> Ticket:
    """A run's ticket; the default one for runs made before there were tickets."""
    try:
        content = json.loads((path / TICKET).read_text(encoding="utf-8"))
        return Ticket(
            device=str(content["device"]),
            submitted=float(content["submitted"]),
            folder=str(content["folder"]),
            threads=int(content["threads"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Ticket()
