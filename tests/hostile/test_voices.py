"""Altered voice folders, part folders and checkpoints, through their loader."""

import resource
import sys
import time

import pytest
from hostile import voices

from lightning_voiceclone.errors import LVCError

SECONDS, BYTES = 10, 1 << 30
EVERY = 3  # of the files, which makes some 170; a long run takes all of them, of many seeds


def most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
def test_altered_voices_are_refused_in_one_line_at_once(tmp_path):
    before, counts = most_memory(), {"loaded": 0, "refused": 0}
    for name, path in voices.altered_voices(tmp_path, seed=0, every=EVERY):
        begun, reason = time.perf_counter(), None
        try:
            voices.load_altered(path)
        except LVCError as error:
            reason = str(error)
        except Exception as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}")
        assert time.perf_counter() - begun < SECONDS, name
        assert not (tmp_path / voices.RAN).exists(), name
        assert reason is None or (str(path) in reason and "\n" not in reason and len(reason) < 1000), (name, reason)
        assert reason is None or not name.startswith("valid"), name
        counts["loaded" if reason is None else "refused"] += 1
    assert most_memory() - before < BYTES
    assert counts["refused"] > 140
