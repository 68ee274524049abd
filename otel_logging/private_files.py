"""Folders and files that are this user's own: made private, opened without following links, checked before use.

The store, the attic, the spool and the control file are made and opened through here. Everything is done on
descriptors: what was checked is what is used, whoever renames things meanwhile. Which folders and files there are, and
what stands in them, belongs elsewhere.

The rules. A folder that is given (the store) must be no link, must belong to this user or root, and must not be
writable for everybody; its group is trusted not to remove files. A folder in it, and each file, must not be writable
for anybody else at all. What is missing is made with mode 0700 (files 0600), whatever the umask; what is there is
refused or used, never changed. Windows has neither owners nor modes nor descriptors of folders: there, only links are
refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from otel_logging.places import plain_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Final

    from typing_extensions import Self

_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_HAS_OWNERS: Final = hasattr(os, "geteuid")
# Whether a file can be named by its folder's descriptor. All calls used here can or none; Windows has none.
_BY_DESCRIPTOR: Final = os.open in os.supports_dir_fd
# O_NONBLOCK: a named pipe put where a file is expected must not make anybody wait.
_FILE_FLAGS: Final = _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER_FLAGS: Final = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_DIRECTORY", 0)
_ELSE: Final = stat.S_IWGRP | stat.S_IWOTH


class NotPrivate(PermissionError):  # noqa: N818 (a verdict on what was found)
    """A folder or file that is not to be used. Its text is a sentence: which one, why and what to do."""

    def __init__(self, why: str, path: str) -> None:
        super().__init__(errno.EPERM, why, path)

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


class Folder:
    """An open folder. Made by `open_folder`; close it, or use it in a `with` block. Names are without a slash."""

    def __init__(self, place: str, descriptor: int | None, heir: tuple[int, int] | None) -> None:
        self._path = place
        self._descriptor = descriptor
        self._heir = heir  # user and group that files are given to; None for this process's own

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; files opened in the folder stay open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def path(self) -> Path:
        """Where it is."""
        from pathlib import Path  # takes as long to import as half a look-up in the store

        return Path(self._path)

    def duplicate(self) -> int:
        """Another descriptor of the folder, which the caller closes.

        Raises:
            OSError: the platform has none.
        """
        if self._descriptor is None:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), self._path)
        return os.dup(self._descriptor)

    def inner(self, name: str, *, make: bool = True) -> Folder:
        """A folder in this one, made if it is missing and `make` is true.

        Raises:
            NotPrivate: it is a link or no folder, somebody else's, or others may write to it.
            OSError: it is missing, or cannot be made or opened.
        """
        place = self._place(name)
        made = make and _make(place, self._descriptor)
        return _opened(os.path.join(self._path, name), place, self._descriptor, _ELSE, self._heir, made=made)

    def create(self, name: str) -> int:
        """The descriptor of a new file of mode 0600, to append to.

        Raises:
            FileExistsError: there is something of that name.
            OSError: it cannot be made.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | _FILE_FLAGS
        descriptor = os.open(self._place(name), flags, 0o600, dir_fd=self._descriptor)
        try:
            self._finish(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """The descriptor of a file, opened with `flags` (O_RDONLY, O_RDWR, O_APPEND, O_CREAT…) and checked.

        Raises:
            NotPrivate: it is a link or no plain file, somebody else's, or others may write to it.
            OSError: it is missing, or cannot be opened.
        """
        place, path = self._place(name), os.path.join(self._path, name)
        if flags & os.O_CREAT and not flags & os.O_EXCL:
            try:
                descriptor = os.open(place, flags | os.O_EXCL | _FILE_FLAGS, 0o600, dir_fd=self._descriptor)
            except FileExistsError:
                flags &= ~os.O_CREAT
            else:
                self._finish(descriptor)
                return descriptor
        _refuse_link_where_it_would_be_followed(path)
        try:
            descriptor = os.open(place, flags | _FILE_FLAGS, 0o600, dir_fd=self._descriptor)
        except OSError as error:
            raise _better(error, path, place, self._descriptor) from None
        try:
            self._check(os.fstat(descriptor), path, written=flags & (os.O_WRONLY | os.O_RDWR) != 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file; raises as `open` does."""
        with os.fdopen(self.open(name), "rb") as file:
            return file.read(limit)

    def replace(self, name: str, parts: Iterable[bytes], *, sync: bool = False, modified: int | None = None) -> None:
        """Make the file `name` anew, at once for every reader: it sees the old file or the new one.

        `sync` waits until the content is on the disk. `modified` is the time of its last change in
        nanoseconds, if that is not now. Raises OSError, and nothing has changed then.
        """
        self._place(name)
        temporary = f".{name[:200]}.{os.urandom(6).hex()}.part"
        descriptor = self.create(temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                if modified is not None and os.utime in os.supports_fd:
                    os.utime(descriptor, ns=(modified, modified))
                if sync:
                    os.fsync(descriptor)
            os.replace(
                self._place(temporary), self._place(name), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor
            )
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove(temporary)
            raise

    def sync(self) -> None:
        """Wait until the names of its files are on the disk. Raises OSError."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, or a link itself; nothing happens if there is none. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._place(name), dir_fd=self._descriptor)

    def stat(self, name: str) -> os.stat_result:
        """What is known of `name`, of a link about the link itself. Raises OSError."""
        return os.stat(self._place(name), dir_fd=self._descriptor, follow_symlinks=False)

    def names(self) -> list[str]:
        """What is in the folder, sorted. Raises OSError."""
        # Not Path.iterdir: it cannot read a descriptor.
        return sorted(os.listdir(self._path if self._descriptor is None else self._descriptor))

    def _place(self, name: str) -> str:
        if not name or name in {".", ".."} or "/" in name or os.sep in name:
            raise ValueError(f"{name!r} is no file's name")
        return name if self._descriptor is not None else os.path.join(self._path, name)

    def _check(self, about: os.stat_result, path: str, *, written: bool) -> None:
        if not stat.S_ISREG(about.st_mode):
            raise NotPrivate("is no plain file", path)
        _check_owner(about, path, _ELSE, "make it 0600", self._heir)
        if written and about.st_nlink > 1:
            raise NotPrivate("has a second name (a hard link); remove it", path)

    def _finish(self, descriptor: int) -> None:
        """What a umask took away comes back; what root makes for a service is that service's user's."""
        if _HAS_OWNERS:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
            if self._heir is not None:
                os.fchown(descriptor, *self._heir)


def open_folder(path: str | os.PathLike[str], *, make: bool = True, for_owner: bool = False) -> Folder:
    """Open the folder at `path`, which a user has chosen; made with its parents if it is missing and `make` is true.

    Args:
        path: only its last part must be no link; `/tmp` may be one.
        make: whether a missing folder is made.
        for_owner: for commands that root runs on a service's folder: a folder of another user is accepted from root,
            and what is made in it is given to that user.

    Raises:
        NotPrivate: it is a link or no folder, somebody else's, or everybody may write to it.
        OSError: it is missing, or cannot be made or opened.
    """
    folder = plain_path(path)
    made = make and _make_with_parents(folder)
    return _opened(folder, folder, None, stat.S_IWOTH, made=made, for_owner=for_owner)


def _make_with_parents(folder: str) -> bool:
    try:
        return _make(folder, None)
    except FileNotFoundError:
        parent = os.path.dirname(folder) or "."
        if parent == folder:
            raise
        if _make_with_parents(parent):
            _opened(parent, parent, None, stat.S_IWOTH, made=True).close()
        return _make(folder, None)


def _make(place: str, parent: int | None) -> bool:
    try:
        os.mkdir(place, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _opened(
    path: str,
    place: str,
    parent: int | None,
    forbidden: int,
    heir: tuple[int, int] | None = None,
    *,
    made: bool = False,
    for_owner: bool = False,
) -> Folder:
    _refuse_link_where_it_would_be_followed(path)
    if not _BY_DESCRIPTOR:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return Folder(path, None, None)
    try:
        descriptor = os.open(place, _FOLDER_FLAGS, dir_fd=parent)
    except OSError as error:
        raise _better(error, path, place, parent) from None
    try:
        about = os.fstat(descriptor)
        if for_owner and os.geteuid() == 0 and about.st_uid:
            heir = (about.st_uid, about.st_gid)
        # A folder such as /tmp is right as it is.
        cure = "" if about.st_mode & stat.S_ISVTX else "take that right away (chmod go-w), or "
        _check_owner(about, path, forbidden, f"{cure}name a new folder in it", heir)
        if made and stat.S_IMODE(about.st_mode) & 0o777 != 0o700:
            os.fchmod(descriptor, 0o700)
        if made and heir is not None:
            os.fchown(descriptor, *heir)
    except BaseException:
        os.close(descriptor)
        raise
    return Folder(path, descriptor, heir)


def _check_owner(about: os.stat_result, path: str, forbidden: int, cure: str, heir: tuple[int, int] | None) -> None:
    if not _HAS_OWNERS:
        return
    if about.st_uid not in {os.geteuid(), 0} and (heir is None or about.st_uid != heir[0]):
        raise NotPrivate(f"belongs to another user (uid {about.st_uid}); name one of your own", path)
    if about.st_mode & forbidden:
        raise NotPrivate(f"may be written by others (mode {stat.S_IMODE(about.st_mode):04o}); {cure}", path)


def _better(error: OSError, path: str, place: str, parent: int | None) -> OSError:
    """The error with the whole path and, where the reason is a link, with that: systems disagree about its name."""
    with contextlib.suppress(OSError):
        if stat.S_ISLNK(os.stat(place, dir_fd=parent, follow_symlinks=False).st_mode):
            return NotPrivate("is a symbolic link; name what it points to", path)
    return OSError(error.errno, error.strerror, path)


def _refuse_link_where_it_would_be_followed(path: str) -> None:
    if not _NOFOLLOW and os.path.islink(path):
        raise NotPrivate("is a symbolic link; name what it points to", path)
