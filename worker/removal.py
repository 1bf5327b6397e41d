"""Removal of folders that a hostile process filled: any depth, any permissions, no link is followed."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it; what cannot be removed stays, without an error.

    Nested folders are moved up to `folder` before they are emptied. So no path grows long, no call nests, and at most
    two folders are open. The processes that filled the folder must have ended.
    """
    with contextlib.suppress(OSError):
        top = os.open(folder, _OPEN_FOLDER)
        try:
            while _remove_level(top):
                pass
        finally:
            os.close(top)
        os.rmdir(folder)


def _remove_level(top: int) -> bool:
    """Remove the files of an open folder and of its subfolders; return True if that brought new folders up to it."""
    moved = False
    for name in os.listdir(top):
        if _is_file(name, top):
            continue
        with contextlib.suppress(OSError):
            os.chmod(name, stat.S_IRWXU, dir_fd=top)
            inner = os.open(name, _OPEN_FOLDER, dir_fd=top)
            try:
                for child in os.listdir(inner):
                    if not _is_file(child, inner):
                        with contextlib.suppress(OSError):
                            os.chmod(child, stat.S_IRWXU, dir_fd=inner)  # to move it, its ".." must be writable
                            os.rename(child, secrets.token_hex(16), src_dir_fd=inner, dst_dir_fd=top)
                            moved = True
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
    return moved


def _is_file(name: str, folder: int) -> bool:
    """Remove an entry of an open folder unless it is a folder; return True if it was none."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return False
        os.unlink(name, dir_fd=folder)
    return True
