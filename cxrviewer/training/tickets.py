"""What a run was submitted with beside its configuration: where it is to compute, from which folder, since when."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from cxrviewer.files import read_small, write_whole

TICKET = "ticket.json"
DEVICE = r"^(cpu|cuda:[0-9]{1,3})$"
"""What a device is called."""
_MOST_BYTES = 65_536


@dataclass(frozen=True)
class Ticket:
    """device: `cpu`, `cuda:0`, ...; one run at a time computes on each. submitted: seconds since 1970.

    folder: the working folder of who submitted it: relative paths of a configuration count from there, whoever
    starts the run later. threads: how many the first process of the run computed with (0: none has yet); the same
    number gives the same weights, bit by bit, after a resume.
    """

    device: Annotated[str, Field(pattern=DEVICE)] = "cpu"
    submitted: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    folder: str = ""
    threads: Annotated[int, Field(ge=0, le=4096)] = 0


_TICKETS = TypeAdapter(Ticket)


def write_ticket(path: Path, ticket: Ticket) -> None:
    """Into a run's folder. Raises OSError."""
    write_whole(path / TICKET, json.dumps(dataclasses.asdict(ticket)))


def read_ticket(path: Path) -> Ticket:
    """A run's ticket; the default one for runs made before there were tickets."""
    try:
        return _TICKETS.validate_json(read_small(path / TICKET, _MOST_BYTES))
    except (OSError, ValidationError):
        return Ticket()
