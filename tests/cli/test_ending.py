"""A command's process ends at once, with its status, its output and all clean-up."""

import os
import subprocess
import sys

import pytest

BEFORE = """
import sys, types
from lightning_voiceclone.cli import main

def run(arguments):
    {work}

module = types.ModuleType("made_up")
module.run = run
sys.modules["made_up"] = module
main.COMMANDS["made-up"] = ("made_up", "a command of a test")
sys.argv = ["lvc", "made-up"]
"""
TORCH = "sys.modules['torch'] = types.ModuleType('torch')"  # its import is all that counts
FREED = "class Freed:\n        def __del__(self): print('freed', flush=True)\n    main.kept = Freed()"


def ended(work, *, before=""):
    """Status, output and errors of a process of lvc whose command does ``work``."""
    code = BEFORE.format(work=work) + before + "\nsys.exit(main.main())\n"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("loads", "freed"), [("", "freed\n"), (TORCH, "")], ids=["without torch", "with torch"])
def test_python_takes_nothing_apart_where_torch_was_imported(loads, freed):
    assert ended(f"{loads}\n    {FREED}\n    return 0") == (0, freed, "")


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_the_status_is_the_commands(status):
    assert ended(f"{TORCH}\n    return {status}")[0] == status


def test_an_error_is_one_line_and_status_2():
    assert ended(f"{TORCH}\n    raise OSError('no such thing')") == (2, "", "lvc: error: no such thing\n")


def test_what_was_written_and_not_flushed_comes_out():
    status, output, _ = ended(f"{TORCH}\n    print('x' * 100_000)\n    return 0")
    assert (status, len(output)) == (0, 100_001)


def test_clean_up_that_a_command_asked_for_is_done_and_threads_are_waited_for():
    work = f"""{TORCH}
    import atexit, threading, time
    atexit.register(print, "cleaned")
    threading.Thread(target=lambda: (time.sleep(0.3), print("worked"))).start()
    return 0"""
    assert ended(work)[:2] == (0, "worked\ncleaned\n")


def test_a_temporary_folder_is_removed(tmp_path):
    work = f"""{TORCH}
    import tempfile
    main.kept = tempfile.TemporaryDirectory(dir={str(tmp_path)!r})
    return 0"""
    assert ended(work)[0] == 0
    assert not list(tmp_path.iterdir())


def test_a_traceback_is_printed_as_ever():
    status, _, errors = ended(f"{TORCH}\n    raise ZeroDivisionError('of a test')")
    assert status == 1
    assert errors.endswith("ZeroDivisionError: of a test\n")


def test_an_output_that_is_closed_is_noticed():
    status, _, errors = ended(f"{TORCH}\n    import os\n    print('lost')\n    os.close(1)\n    return 0")
    assert status == 120  # Python's own, for output that it could not write
    assert "Bad file descriptor" in errors
