"""Everything that can go wrong and that a person can act on.

    CxrError                    kind
    ├── NotFoundError           not-found
    ├── UnreadableError         unreadable      damaged, or not a picture at all
    │   └── LabelFileError      unreadable      a label file is refused, with line numbers
    ├── UnsupportedError        unsupported     whole, but of a sort that is not read
    ├── TooLargeError           too-large       above a cap, refused before memory is taken
    ├── DecodingTimeoutError    timeout
    ├── OutOfScopeError         out-of-scope    not what the model was made for: no score
    ├── UnknownTargetError      unknown-target
    ├── ModelBundleError        no-model        a bundle is missing or fails its checks
    ├── ConfigurationError      usage           a wrong setting
    ├── SplitError              usage           parts of a data set overlap
    ├── ArchiveError            archive         the study store is damaged, full or read-only
    ├── StorageError            storage         a training run's disk is full, read-only or failing
    ├── NetworkError            network         a download failed: offline, refused, too slow or not what was expected
    └── CancelledError          cancelled       the reader asked to stop

A message is one or two sentences: what is wrong (with the tag, member or line number), then the remedy.
It never holds patient text or a path made from it.
"""

from __future__ import annotations

from typing import ClassVar


class CxrError(Exception):
    """Base of all. `message` says what is wrong; `remedy` what to do next; `kind` is fixed for scripts."""

    kind: ClassVar[str] = "internal"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class NotFoundError(CxrError):
    """The named file, study or run does not exist."""

    kind = "not-found"


class UnreadableError(CxrError):
    """The content is damaged, truncated or no image at all."""

    kind = "unreadable"


class LabelFileError(UnreadableError):
    """A label file is refused before the first step; the message names the lines."""


class UnsupportedError(CxrError):
    """The content is whole, but of a sort that this program does not read."""

    kind = "unsupported"


class TooLargeError(CxrError):
    """A cap on bytes, pixels, depth or elements is exceeded."""

    kind = "too-large"


class DecodingTimeoutError(CxrError):
    """Decoding took longer than its allowance and was stopped."""

    kind = "timeout"


class OutOfScopeError(CxrError):
    """The picture is not what the model was made for, so there is no score to explain."""

    kind = "out-of-scope"


class UnknownTargetError(CxrError):
    """The model has no label of that name."""

    kind = "unknown-target"


class ModelBundleError(CxrError):
    """A model bundle is missing, damaged or not the one that its card describes."""

    kind = "no-model"


class ConfigurationError(CxrError):
    """A setting has a value that makes no sense."""

    kind = "usage"


class SplitError(CxrError):
    """A patient or picture stands in two parts of a split."""

    kind = "usage"


class ArchiveError(CxrError):
    """The study store cannot be read or written."""

    kind = "archive"


class StorageError(CxrError):
    """A training run cannot be written: its disk is full, read-only or failing."""

    kind = "storage"


class NetworkError(CxrError):
    """Something could not be fetched from another machine."""

    kind = "network"


class CancelledError(CxrError):
    """The work was stopped on request."""

    kind = "cancelled"
