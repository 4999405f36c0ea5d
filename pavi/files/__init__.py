"""Files that are there as a whole or not at all; the one place of pavi that writes any."""

from pavi.files.digest import sha256_of
from pavi.files.disk import DiskFullError, check_space, check_writable, size_told
from pavi.files.unfinished import remove_unfinished
from pavi.files.whole_file import append_text, whole_file, write_text
from pavi.files.whole_folder import whole_folder

__all__ = [
    "DiskFullError",
    "append_text",
    "check_space",
    "check_writable",
    "remove_unfinished",
    "sha256_of",
    "size_told",
    "whole_file",
    "whole_folder",
    "write_text",
]
