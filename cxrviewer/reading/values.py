"""What reading a file gives: an answer, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cxrviewer.archive.rows import InstanceRow
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.errors import CxrError

INTERNAL: Final = CxrError.kind


@dataclass(frozen=True)
class Failure:
    """Why a file has no answer. kind: of `cxrviewer.errors`; message: what is wrong and what to do next."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """A CxrError speaks for itself; of anything else nothing is shown, since it may quote the file."""
        if isinstance(error, CxrError):
            return cls(error.kind, str(error))
        if isinstance(error, MemoryError):
            return cls(INTERNAL, "There was not enough memory. Close other programs and try again.")
        return cls(INTERNAL, "The program failed on this one. The log names the place; the others go on.")


@dataclass(frozen=True)
class Reading:
    """What became of one file, in the order of the files. Holds no pixels, so a long list stays small.

    source: its name as given (`archive.zip!member`); untrusted text. prediction: None where it failed, or where no
    score was asked for. instance: its row in the store, where there is one and the file could be opened.
    decode_seconds: opening alone.
    """

    source: str = field(repr=False)
    digest: str | None = None
    prediction: Prediction | None = None
    failure: Failure | None = None
    instance: InstanceRow | None = None
    decode_seconds: float = 0.0
    frames: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing failed; a picture out of scope is an answer."""
        return self.failure is None
