"""Find recordings in folders, following links, and count the files that were passed over."""

import collections
import os
from collections.abc import Iterator
from pathlib import Path

from lightning_voiceclone.utils.output_folder import is_output

# What is decoded, and what other programs call recordings, which preparing rejects with the way to convert them.
DECODED = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf",
                     ".w64", ".rf64"})  # fmt: skip
OTHERS = frozenset({".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka", ".amr", ".3gp", ".ac3", ".ape", ".wv"})
FORMATS = "WAV, FLAC, OGG, Opus, MP3, AIFF, AU, CAF, W64"
CONVERT = "cannot be decoded; convert with ffmpeg -i FILE FILE.flac"
LOCKED = "unreadable folder(s), for want of permission"
MADE = "made by an earlier command of lvc"


def recordings_below(
    folder: str | os.PathLike[str], *, others: bool = False
) -> tuple[list[Path], collections.Counter[str]]:
    """Recordings below a folder, at any depth, in order, and how many files were passed over for which reason.

    Links are followed. What is hidden is no recording, and what lvc prepare, evaluate and predict wrote is passed over.

    Args:
        folder: to look in.
        others: whether to list formats that cannot be decoded too, instead of passing them over.
    """
    folder = Path(folder)
    found, passed = [], collections.Counter[str]()
    for path, made in _walk(folder, (), False, passed):
        suffix = path.suffix.lower()
        if suffix not in DECODED | OTHERS:
            continue
        if made:
            passed[MADE] += 1
        elif suffix in DECODED or others:
            found.append(path)
        else:
            passed[CONVERT] += 1
    return sorted(found), passed


def _walk(
    folder: Path, above: tuple[tuple[int, int], ...], made: bool, passed: collections.Counter[str]
) -> Iterator[tuple[Path, bool]]:
    """Files that are not hidden, and whether they are output; a folder that a link leads back to is not entered.

    Folders that may not be read are counted in ``passed``.
    """
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        passed[LOCKED] += 1
        return
    except OSError:
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if entry.is_dir():
            yield from _walk(path, (*above, identity), made or is_output(path), passed)
        elif entry.is_file():
            yield path, made


def passed_over(passed: collections.Counter[str]) -> str:
    """One line on the files that were passed over; empty if there are none."""
    if not passed:
        return ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in passed.most_common())
    return f"{sum(passed.values())} recording(s) passed over: {reasons}"
