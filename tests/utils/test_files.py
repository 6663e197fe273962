"""Files and folders that appear whole or not at all, whatever ends the process that writes them."""

import errno
import os
import resource
import signal
import stat
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils import files, leftovers
from lightning_voiceclone.utils.files import atomic_file, atomic_folder, check_no_input, explain_os_error
from lightning_voiceclone.utils.leftovers import find_again, sweep


def write(folder, text):
    with atomic_folder(folder) as temporary:
        (temporary / "a.txt").write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["exchange", "two renames"])
def way(request, monkeypatch):
    """How a folder is replaced: as this system does, and as one does that cannot exchange two."""
    if request.param == "two renames":
        monkeypatch.setattr(files, "exchange", lambda one, other: False)


def test_a_folder_is_replaced_as_a_whole(tmp_path, way):
    for text in ("old", "new"):
        write(tmp_path / "voice", text)
    assert (tmp_path / "voice/a.txt").read_text() == "new"
    assert names(tmp_path) == ["voice"]


@pytest.mark.parametrize("failing", [1, 2])
def test_what_ends_between_the_renames_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    write(tmp_path / "voice", "old")
    rename, calls = Path.rename, []

    def failed(self, target):
        calls.append(target)
        if len(calls) == failing:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "voice", "new")
    assert (tmp_path / "voice/a.txt").read_text() == "old"
    assert names(tmp_path) == ["voice"]


@pytest.mark.slow
def test_a_folder_that_is_replaced_is_never_missing(tmp_path):
    write(tmp_path / "voice", "0")
    if not files.exchange(tmp_path / "voice", _folder(tmp_path / "other")):
        pytest.skip("this file system cannot exchange two folders")
    files.exchange(tmp_path / "voice", tmp_path / "other")
    missing, done = [], threading.Event()

    def look():
        while not done.is_set():
            missing.append(not (tmp_path / "voice/a.txt").exists())

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(50):
        write(tmp_path / "voice", str(number))
    done.set()
    reader.join()
    assert len(missing) > 50
    assert not any(missing)


def _folder(path):
    path.mkdir()
    return path


def test_a_link_to_a_folder_stays_a_link(tmp_path, way):
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "new")
    assert (tmp_path / "real/a.txt").read_text() == "new"
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["link", "real"]


@pytest.mark.slow
def test_processes_that_replace_one_folder_leave_one_of_theirs(tmp_path, way):
    write(tmp_path / "voice", "0")

    def work(number):
        for _ in range(10):
            write(tmp_path / "voice", number)

    for child in [_forked(work, str(number)) for number in (1, 2)]:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "voice/a.txt").read_text() in {"1", "2"}
    assert names(tmp_path) == ["voice"]


def _forked(work, *arguments):
    child = os.fork()
    if not child:
        try:
            work(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    return child


@contextmanager
def in_the_middle(work, *arguments):
    """A child process in the middle of ``work(reached, …)``; killed at the end of the block."""
    reading, writing = os.pipe()

    def reached():
        os.write(writing, b"x")
        time.sleep(60)

    child = _forked(work, reached, *arguments)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"x"
        yield
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _file(reached, path):
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        reached()


def _whole(reached, path):
    with atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text("half")
        reached()


@pytest.mark.slow
@pytest.mark.parametrize(("work", "name"), [(_file, "a.wav"), (_whole, "voice")])
def test_only_what_a_killed_process_left_is_removed(tmp_path, work, name):
    mine = tmp_path / ".mine-12345678.wav"
    mine.write_text("a user's")
    with in_the_middle(work, tmp_path / name):
        living = set(names(tmp_path))
        assert len(living) == 2
        sweep(tmp_path)
        assert set(names(tmp_path)) == living
    assert set(names(tmp_path)) == living  # killed: nobody could tidy up
    leftovers._swept.clear()
    with atomic_file(tmp_path / "b.txt") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == [mine.name, "b.txt"]


def test_nothing_is_removed_where_there_are_no_locks(tmp_path, monkeypatch):
    with in_the_middle(_file, tmp_path / "a.wav"):
        pass
    before = names(tmp_path)
    assert len(before) == 1

    def none(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(leftovers.fcntl, "flock", none)
    sweep(tmp_path)
    assert names(tmp_path) == before
    with atomic_file(tmp_path / "b.txt") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == [*before, "b.txt"]


def test_what_another_machine_left_is_removed_after_a_day(tmp_path):
    theirs = tmp_path / f".a.lvc-part-{'0' * 6}-{'1' * 12}.wav"
    theirs.touch()
    sweep(tmp_path)
    assert theirs.exists()
    os.utime(theirs, (0, 0))
    sweep(tmp_path)
    assert not theirs.exists()


def _replace(reached, path):
    files.exchange = lambda one, other: False
    rename = Path.rename

    def stopping(self, target):
        if target == path:
            reached()
        return rename(self, target)

    Path.rename = stopping
    write(path, "new")


def test_a_folder_is_found_again_after_a_kill_between_the_renames(tmp_path):
    write(tmp_path / "voice", "old")
    with in_the_middle(_replace, tmp_path / "voice"):
        assert not (tmp_path / "voice").exists()
        sweep(tmp_path)  # the process lives: it is left alone
        assert not (tmp_path / "voice").exists()
    assert find_again(tmp_path / "voice") == tmp_path / "voice"
    assert (tmp_path / "voice/a.txt").read_text() == "old"
    assert names(tmp_path) == ["voice"]
    assert find_again(tmp_path / "other") == tmp_path / "other"


def test_the_next_writer_replaces_what_a_kill_between_the_renames_left(tmp_path):
    write(tmp_path / "voice", "old")
    with in_the_middle(_replace, tmp_path / "voice"):
        pass
    leftovers._swept.clear()
    write(tmp_path / "voice", "newer")
    assert (tmp_path / "voice/a.txt").read_text() == "newer"
    assert names(tmp_path) == ["voice"]


def test_a_long_name_and_permissions(tmp_path):
    long = tmp_path / ("ü" * 120 + ".wav")
    with atomic_file(long) as temporary:
        assert temporary.suffix == ".wav"
        temporary.touch()
    assert names(tmp_path) == [long.name]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(long.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_an_error_names_the_path_and_takes_back_folders_that_were_made(tmp_path, number):
    path = tmp_path / "new/deeper/a.wav"
    with pytest.raises(OSError, match=r"a\.wav") as caught, atomic_file(path):
        raise OSError(number, os.strerror(number))
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert explain_os_error(caught.value).startswith(f"{path}: ")
    assert names(tmp_path) == []
    (tmp_path / "kept").mkdir()
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "kept/new/voice"):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == []


def test_a_file_size_limit_is_reported_with_the_path(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"a\.bin") as caught, atomic_file(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = "it would be larger than a file may be here; raise the limit (ulimit -f) and run it again"
    assert explain_os_error(caught.value) == f"{tmp_path / 'a.bin'}: {told}"
    assert names(tmp_path) == []


def test_a_disk_that_is_really_full(tmp_path):
    disk = _folder(tmp_path / "disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        (disk / "voice").mkdir()
        with pytest.raises(OSError, match="No space left") as caught, atomic_folder(disk / "voice") as temporary:
            (temporary / "a.bin").write_bytes(b"x" * 100_000)
        assert explain_os_error(caught.value).endswith("the disk is full; free some space and run it again")
        assert caught.value.filename == str(disk / "voice")
        assert names(disk) == ["voice"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_holds_an_input_is_not_replaced(tmp_path):
    (tmp_path / "voice/recordings").mkdir(parents=True)
    (tmp_path / "voices").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "voice/recordings")
    for given in ("voice", "voice/recordings", "link"):
        with pytest.raises(ConfigurationError, match="input"):
            check_no_input(tmp_path / "voice", [tmp_path / given])
    check_no_input(tmp_path / "voice", [tmp_path, tmp_path / "voices", tmp_path / "missing", "default", ""])
    check_no_input(tmp_path / "new", [tmp_path / "voice"])
