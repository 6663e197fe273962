"""The recordings of a listening test: those of one or several reports on the same pairs."""

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.evaluation.listening.kinds import ANCHOR, HIDDEN, REFERENCE, TESTS, Conditions
from lightning_voiceclone.evaluation.report import AUDIO, ROLES, Report, read_report
from lightning_voiceclone.utils.reading import excerpt

ANCHOR_HZ = 3500.0  # of ITU-R BS.1534-3's low-range anchor
CACHED = 64  # stimuli kept in memory
MOST_SECONDS = 60.0  # of a recording; CACHED of them stay in memory
BLOCK = 1 << 20  # bytes read at once
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """One question: a case with the conditions that it compares. ``key`` is its permanent name."""

    test: str
    case: str
    conditions: Conditions

    @cached_property
    def key(self) -> str:
        """A name that stays the same when the server starts again."""
        return json.dumps([self.test, self.case, *self.conditions], ensure_ascii=False)


class Material:
    """Systems, by name, and the cases whose recordings all of them have.

    Args:
        folders: of the reports, one for each system.

    Raises:
        ConfigurationError: if a report cannot be read, has no recordings, or is of other pairs than the first.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        reports = [read_report(folder) for folder in folders]
        for report in reports[1:]:
            if report.pairs_sha256 != reports[0].pairs_sha256:
                raise ConfigurationError(
                    f"{report.folder} is of the pairs {report.pairs_sha256:.12}, {reports[0].folder} of"
                    f" {reports[0].pairs_sha256:.12}; systems can be compared on the same pairs only"
                )
        self.reports = dict(zip(_names(reports), reports, strict=True))
        self.cases = _common_cases(reports)
        self.pairs_sha256 = reports[0].pairs_sha256
        self._sound = lru_cache(CACHED)(self._render)

    @property
    def systems(self) -> list[str]:
        """Names of the systems, in the order of the reports."""
        return list(self.reports)

    @property
    def identity(self) -> dict[str, object]:
        """What distinguishes this test from others: pairs, cases, and the systems with a hash of their clones."""
        cases = hashlib.sha256("\n".join(self.cases).encode()).hexdigest()
        systems = {name: _digest([report.audio(case, "clone") for case in self.cases])
                   for name, report in self.reports.items()}  # fmt: skip
        return {"pairs": self.pairs_sha256, "cases": cases, "systems": systems}

    def trials(self, test: str) -> list[Trial]:
        """All trials of a test, in the order of conditions and cases."""
        return [
            Trial(test, case, conditions) for conditions in TESTS[test].conditions(self.systems) for case in self.cases
        ]

    def sound(self, case: str, condition: str) -> bytes:
        """A WAV file, 16 bits, scaled by one gain to a loudness of -23 LUFS (EBU R 128).

        Raises:
            RecordingError: if the recording was removed since the start.
        """
        return self._sound(case, condition)

    def _render(self, case: str, condition: str) -> bytes:
        import soundfile
        import torch

        from lightning_voiceclone.audio.io import read_audio
        from lightning_voiceclone.audio.preprocessing import NormalizeLoudness

        if condition in HIDDEN:
            report = next(iter(self.reports.values()))
            path = report.audio(case, "reference" if condition == REFERENCE else "source")
        else:
            path = self.reports[condition].audio(case, "clone")
        audio, rate = read_audio(path, end=MOST_SECONDS + 1)
        if len(audio) > MOST_SECONDS * rate:
            raise RecordingError(f"{path} is longer than {MOST_SECONDS:.0f} s; a listening test takes shorter ones")
        if condition == ANCHOR:
            audio = _low_passed(audio, rate)
        level = NormalizeLoudness()(torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None], rate)[0].numpy()
        stream = io.BytesIO()
        soundfile.write(stream, level, rate, format="WAV", subtype="PCM_16")
        return stream.getvalue()


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        of_file = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                of_file.update(block)
        digest.update(of_file.digest())
    return digest.hexdigest()


def _names(reports: Sequence[Report]) -> list[str]:
    """The systems' own names if all have one and they differ, else the folders' names."""
    own = [excerpt(report.system.get("name") or "") for report in reports]
    names = own if all(own) and len(set(own)) == len(own) else [report.folder.resolve().name for report in reports]
    if len(set(names)) < len(names):
        names = [str(report.folder.resolve()) for report in reports]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"the report {twice} is given twice; name each system's report once")
    taken = next((name for name in names if name in HIDDEN), None)
    if taken is not None:
        raise ConfigurationError(f"a system is called {taken}, which the test uses itself; rename it")
    return names


def _common_cases(reports: Sequence[Report]) -> list[str]:
    """Cases of which every report has all three recordings."""
    complete = []
    for report in reports:
        found = [case["case"] for case in report.cases
                 if all(report.audio(case["case"], role).is_file() for role in ROLES)]  # fmt: skip
        if not found:
            raise ConfigurationError(
                f"{report.folder} has no case with its recordings ({AUDIO}/CASE.source.wav, CASE.reference.wav and"
                " CASE.clone.wav); run lvc evaluate again, which writes them"
            )
        complete.append(found)
    cases = [case for case in complete[0] if all(case in found for found in complete)]
    left_out = len(reports[0].cases) - len(cases)
    if not cases:
        raise ConfigurationError("the reports have no case in common that all have recordings of; evaluate them again")
    if left_out:
        logger.warning("%d of %d cases are left out: not every report has their recordings", left_out,
                       len(reports[0].cases))  # fmt: skip
    return cases


def _low_passed(audio: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import firwin, oaconvolve

    if rate <= 2 * ANCHOR_HZ:
        return audio
    # 70 dB within 500 Hz, without delay.
    taps = firwin(round(rate / 500 * 4) | 1, ANCHOR_HZ, window=("kaiser", 7.0), fs=rate)
    return oaconvolve(audio, taps, mode="same")
