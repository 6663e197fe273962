"""Where one process of a training dies, the others end with a line that says which."""

import subprocess
import sys
import time

import pytest
from forks import completed
from lightning.pytorch.strategies.launchers import subprocess_script

from lightning_voiceclone.training import ranks


@pytest.fixture
def of_two(monkeypatch):
    """This process as the first of two, whose second one has been killed."""
    child = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    child.wait()
    monkeypatch.setattr(ranks, "_started", [child])
    return child


def test_a_lost_connection_is_reported_with_the_process_that_died(of_two):
    error = RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")
    assert str(ranks.lost_process(error)) == (
        f"process 1 of this training (PID {of_two.pid}, ended by signal 9) died or cannot be reached, so that process 0"
        " ends too; look above for its reason (lack of memory has none), and go on from the newest checkpoint with the"
        " same command and --ckpt_path last"
    )


def test_other_errors_are_no_lost_process(of_two):
    assert ranks.lost_process(RuntimeError("shapes do not fit")) is None
    assert ranks.lost_process(KeyError("gloo")) is None


def waits_for_ever():
    ranks.GRACE_SECONDS = 0.2
    ranks._reported.clear()
    ranks.watch()
    codes = ("import time; time.sleep(600)", "exit(7)")
    children = [subprocess.Popen([sys.executable, "-c", code]) for code in codes]
    subprocess_script._launch_process_observer(children)
    time.sleep(600)  # as a process that waits for one that is gone


@pytest.mark.slow
def test_a_process_that_waits_for_ever_is_ended_and_those_that_it_started(tmp_path):
    done = completed(waits_for_ever, tmp_path)
    assert done.returncode == 2  # and its output is closed, which the first child would have kept open
    (line,) = done.stderr.splitlines()
    assert line.startswith("lvc: error: process 2 of this training (PID ")
    assert "ended by status 7" in line
