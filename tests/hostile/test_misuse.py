"""Every command refuses a mistyped, misplaced or forbidden value in one line that names it, and leaves nothing."""

import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hostile import harness, misuse

from lightning_voiceclone.cli.main import COMMANDS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and forks")]
MOST = 420  # characters of a message
USELESS = re.compile(r"\[Errno|<class|Traceback|^lvc: error: [^:]*: *$")
BEFORE = ("INFO: ", "Seed set to", "GPU available", "1/5 Synth", "Sentences spoken")  # lines of progress


@pytest.fixture(scope="module")
def bench():
    """Good inputs, below a folder that other users may enter too."""
    before = os.umask(0)
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield misuse.make_bench(folder)
    finally:
        os.umask(before)
        for name in ("locked", "sealed"):
            (folder / misuse.BAD / name).chmod(0o700)
        shutil.rmtree(folder)


def attempt(mistake, folder, monkeypatch, capfd):
    """Run it; the attempt, and what it left in its own folder."""
    shutil.rmtree(cache := folder / "cache", ignore_errors=True)
    cache.mkdir()
    monkeypatch.setenv("LVC_CACHE", str(cache))
    with tempfile.TemporaryDirectory(dir=folder) as own:
        Path(own).chmod(0o777)
        command = harness.command(*(word.replace("{out}", own) for word in mistake.words))
        if mistake.before is None:
            monkeypatch.chdir(own)
            done = harness.attempt_here(mistake.name, command, folder / "mark", lambda: "".join(capfd.readouterr()))
            monkeypatch.chdir(folder)
        else:
            run = lambda: os.chdir(own) or mistake.before() or command()  # noqa: E731
            done = harness.attempt(mistake.name, run, folder, folder / "mark")
        return done, {path.name for path in Path(own).iterdir()}


def faults_of(mistake, done, left):
    """What a user would not understand, or would have to clean up."""
    faults = [fault for fault in done.faults if not fault.endswith(" s")]  # a busy machine's time is no fault here
    lines = [line for line in done.text.splitlines() if line.strip() and not line.startswith(BEFORE)]
    if done.status != 2:
        faults.append(f"status {done.status}")
    if len(lines) != 1 or not lines[-1].startswith("lvc: error: "):
        faults.append("not one line")
    elif len(lines[0]) > MOST:
        faults.append(f"{len(lines[0])} characters")
    if USELESS.search(done.text):
        faults.append("another program's words")
    if mistake.value not in done.text:
        faults.append(f"does not name {mistake.value}")
    if more := left - {misuse.COMMANDS[mistake.command].kept}:
        faults.append(f"left {', '.join(sorted(more))}")
    return faults


def test_a_hang_is_stopped_and_the_test_s_own_alarm_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "SECONDS", 0.02)
    before, timer = signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 500.0)
    try:
        done = harness.attempt_here("hang", lambda: time.sleep(30) or 0, tmp_path / "mark", str)
        assert 400 < signal.getitimer(signal.ITIMER_REAL)[0] < 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
    assert done.status is None
    assert done.faults[0].startswith("killed after 0 s")
    assert signal.getsignal(signal.SIGALRM) is before
    assert harness.attempt_here("quick", lambda: 0, tmp_path / "mark", str).faults == []


def test_every_command_is_tried():
    assert {name.split()[0] for name in misuse.COMMANDS} == set(COMMANDS)


@pytest.mark.parametrize("name", misuse.COMMANDS)
def test_a_mistake_is_refused_in_one_line(name, bench, monkeypatch, capfd):
    folder = bench["voice"].parent
    found = []
    for mistake in misuse.mistakes(bench, name):
        done, left = attempt(mistake, folder, monkeypatch, capfd)
        print(f"{mistake.name}: {done.text.strip()}")
        if faults := faults_of(mistake, done, left):
            found.append(f"{mistake.name}: {', '.join(faults)}\n    {done.text[-600:]!r}")
    assert not found, "\n".join(found)
