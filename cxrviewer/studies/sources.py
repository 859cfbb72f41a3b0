"""What a person gives (files, folders, ZIP archives, DICOMDIR) -> named sources of bytes.

Names are for people to read. No path is ever made from one: a folder is walked by the operating system's own
entries, a ZIP is read in place, and a DICOMDIR's references are looked up among the files that the walk found (G11).
Links are not followed. What is refused is told, not dropped.
"""

from __future__ import annotations

import os
import stat
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from cxrviewer.errors import CxrError, NotFoundError, TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies.deidentify import visible
from cxrviewer.studies.isolation import default_pool
from cxrviewer.studies.limits import (
    MAX_FILE_BYTES,
    MAX_ZIP_MEMBERS,
    MAX_ZIP_TOTAL_BYTES,
    MIB,
    check_file_size,
)
from cxrviewer.studies.opening import Format, read_capped, sniff
from cxrviewer.studies.zip_directory import check_zip_directory

_JUNK: Final = frozenset({"__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db"})
_HEAD_BYTES: Final = 256
_ZIP_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_DICOMDIR: Final = "dicomdir"

_ZIP_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Source:
    """One file to open. `read()` gives its bytes, at most 64 MB, or raises CxrError."""

    name: str
    read: Callable[[], bytes] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Refused:
    """Something that was given and cannot be opened, and why."""

    name: str
    error: CxrError


@dataclass(frozen=True)
class _Entry:
    """A file found by a walk: its place below the folder or in the archive, and what can be done with it."""

    parts: tuple[str, ...]
    what: Source | Refused

    @property
    def key(self) -> tuple[str, ...]:
        """The place as a DICOMDIR may spell it."""
        return _key(self.parts)


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Case apart, and without a version (ISO 9660 `NAME.;1`). Text to look up by, never a path."""
    return tuple(part.casefold().partition(";")[0].rstrip(".") for part in parts)


def iter_sources(paths: Iterable[Path | str]) -> Iterator[Source | Refused]:
    """Everything below the given paths, in order; folders are walked, ZIP archives read one level deep."""
    for path in map(Path, paths):
        try:
            mode = path.stat().st_mode
        except OSError:
            yield Refused(
                visible(str(path)), NotFoundError("There is no such file or folder.", "Check the path.")
            )
            continue
        if stat.S_ISDIR(mode):
            yield from _listed(list(_walk(path, str(path), ())))
        elif stat.S_ISREG(mode) and path.name.casefold() == _DICOMDIR:
            entries = list(_walk(path.parent, str(path.parent), ()))
            yield from _listed(entries, only=path.name)
        else:
            yield from _file(path, str(path), mode)


def iter_upload(data: bytes, name: str) -> Iterator[Source | Refused]:
    """An uploaded file: itself, or the members of a ZIP archive."""
    if data.startswith(_ZIP_STARTS):
        yield from _zip(BytesIO(data), len(data), name)
    else:
        yield Source(visible(name), partial(_capped, data))


def _capped(data: bytes) -> bytes:
    check_file_size(len(data))
    return data


def _walk(folder: Path, name: str, parts: tuple[str, ...]) -> Iterator[_Entry]:
    """Regular files below a folder, sorted, without hidden ones and litter."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield _Entry(parts, Refused(visible(name), _no_folder(error)))
        return
    for entry in entries:
        if _is_junk(entry.name):
            continue
        below, place = f"{name}/{entry.name}", (*parts, entry.name)
        if entry.is_symlink():
            yield _Entry(place, Refused(visible(below), _link()))
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, below, place)
        else:
            mode = entry.stat(follow_symlinks=False).st_mode
            for what in _file(folder / entry.name, below, mode, follow=False):
                yield _Entry(place, what)


def _file(path: Path, name: str, mode: int, follow: bool = True) -> Iterator[Source | Refused]:
    """One file; a ZIP archive is entered."""
    if not stat.S_ISREG(mode):
        error = UnsupportedError("This is no file but a device or a pipe.", "Give a file, a folder or a ZIP.")
        yield Refused(visible(name), error)
        return
    try:
        if _head(path).startswith(_ZIP_STARTS):
            yield from _zip(path.open("rb"), path.stat().st_size, name)
            return
    except OSError as error:
        yield Refused(visible(name), _no_folder(error))
        return
    yield Source(visible(name), partial(read_capped, path, follow=follow))


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _listed(entries: list[_Entry], only: str | None = None) -> Iterator[Source | Refused]:
    """Give the entries, those that a DICOMDIR lists in its order.

    Beside a DICOMDIR a disc also carries viewer programs: of the files that it does not list, in its folder and
    below, only DICOM content is given. `only`: name of the DICOMDIR that was asked for; nothing else is given then.
    """
    places = {entry.key: entry for entry in entries}
    given: set[tuple[str, ...]] = set()
    covered: list[tuple[str, ...]] = []
    for directory in [entry for entry in entries if entry.key[-1:] == (_DICOMDIR,)]:
        if not isinstance(directory.what, Source) or (only and directory.parts != (only,)):
            continue
        given.add(directory.key)
        base = directory.key[:-1]
        try:
            references = default_pool().list_directory(directory.what.read())
        except CxrError as error:
            yield Refused(directory.what.name, error)
            continue
        covered.append(base)
        for reference in references:
            found = places.get(base + _key(reference))
            if found is None:
                yield Refused(f"{directory.what.name}: {visible('/'.join(reference))}", _missing())
            elif found.key not in given:
                given.add(found.key)
                yield found.what
    for entry in entries if only is None else []:
        if entry.key in given:
            continue
        if any(entry.key[: len(base)] == base for base in covered) and not _is_dicom(entry.what):
            continue
        yield entry.what


def _is_dicom(what: Source | Refused) -> bool:
    try:
        return isinstance(what, Source) and sniff(what.read()[:_HEAD_BYTES]) is Format.DICOM
    except CxrError:
        return False


def _zip(stream: BinaryIO, size: int, name: str) -> Iterator[Source | Refused]:
    """The members of a ZIP archive as `archive.zip!member`; none of them is written to disk."""
    try:
        check_zip_directory(stream, size)
        archive = zipfile.ZipFile(stream)
        weakref.finalize(archive, stream.close)  # the sources keep the archive open, and no longer
        members = archive.infolist()
    except CxrError as error:
        stream.close()
        yield Refused(visible(name), error)
        return
    except _ZIP_FAULTS:
        stream.close()
        yield Refused(visible(name), UnreadableError("The ZIP archive is damaged.", "Copy or make it again."))
        return
    if len(members) > MAX_ZIP_MEMBERS:
        yield Refused(visible(name), _too_many())
        return
    entries, total = [], 0
    for member in members:
        parts = tuple(part for part in member.filename.replace("\\", "/").split("/") if part)
        if member.is_dir() or not parts or any(_is_junk(part) for part in parts):
            continue
        label = f"{visible(name)}!{visible(member.filename)}"
        refusal = _refuse_member(member)
        total += member.file_size
        if refusal is None and total > MAX_ZIP_TOTAL_BYTES:
            refusal = TooLargeError(
                f"The ZIP archive inflates to more than {MAX_ZIP_TOTAL_BYTES // MIB:,} MB.", "Split it."
            )
        what = Refused(label, refusal) if refusal else Source(label, partial(_read_member, archive, member))
        entries.append(_Entry(parts, what))
    yield from _listed(entries)


def _refuse_member(member: zipfile.ZipInfo) -> CxrError | None:
    """Why a member is not opened, by its directory entry alone."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return _link()
    if member.flag_bits & 1:
        return UnsupportedError("The member is encrypted.", "Unpack the archive with its password first.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return UnsupportedError(
            "The member is packed by an uncommon method.", "Make the ZIP again with deflate."
        )
    try:
        check_file_size(member.file_size)
    except TooLargeError as error:
        return error
    return None


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Inflate one member, never beyond the cap, whatever its entry says; its checksum is checked at the end."""
    try:
        with archive.open(member) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except _ZIP_FAULTS as error:
        raise UnreadableError("The ZIP member is damaged.", "Copy or make the archive again.") from error
    check_file_size(len(data))
    return data


def _is_junk(name: str) -> bool:
    """Hidden files and what macOS and Windows leave behind."""
    return (name.startswith(".") and name not in (".", "..")) or name.casefold() in _JUNK


def _link() -> UnsupportedError:
    return UnsupportedError("Links are not followed.", "Give the file itself.")


def _missing() -> NotFoundError:
    return NotFoundError("The DICOMDIR lists a file that is not there.", "Copy the whole disc or folder.")


def _too_many() -> TooLargeError:
    return TooLargeError(f"The ZIP archive holds more than {MAX_ZIP_MEMBERS:,} members.", "Split it.")


def _no_folder(cause: OSError) -> UnreadableError:
    error = UnreadableError("This cannot be read from disk.", "Check its permissions and the disk.")
    error.__cause__ = cause
    return error
