"""Faults of recognisers, metrics and corpora."""

import itertools
from pathlib import Path

import torch

from faults import GOOD, fault
from lightning_voiceclone.core.interfaces import MetricSource, Recording
from lightning_voiceclone.scaffold.parts.corpora import ExampleCorpus
from lightning_voiceclone.scaffold.parts.metrics import ExampleMetric
from lightning_voiceclone.scaffold.parts.recognizers import ExampleRecognizer

# Recognisers ----------------------------------------------------------------------------------------------------------


GOOD[ExampleRecognizer] = {}


@fault("text of any length", "text of 16000 samples; got list", alone=False)
class TokenRecognizer(ExampleRecognizer):
    """A list of words."""

    def transcribe(self, audio, sample_rate):
        return super().transcribe(audio, sample_rate).split()


@fault("a call leaves no trace in the next", "'yes 1' and 'yes 3'", alone=False)
class CountingRecognizer(ExampleRecognizer):
    """Another text each time."""

    calls = 0

    def transcribe(self, audio, sample_rate):
        self.calls += 1
        return f"yes {self.calls}"


@fault("input is untouched", "the input as it was")
class NormalisingRecognizer(ExampleRecognizer):
    """Normalises its input in place."""

    def transcribe(self, audio, sample_rate):
        audio *= 0.5
        return super().transcribe(audio, sample_rate)


@fault("names its model", "a source with a name and a version")
class NamelessRecognizer(ExampleRecognizer):
    """No version."""

    def __init__(self):
        super().__init__()
        self.source = MetricSource("NamelessRecognizer", "")


@fault("silence is text too", "expected no error; got ZeroDivisionError")
class LevelRecognizer(ExampleRecognizer):
    """Divides by the level."""

    def transcribe(self, audio, sample_rate):
        1 / float(audio.abs().max())
        return super().transcribe(audio, sample_rate)


@fault("text of any length", "expected no error; got RuntimeError")
class LongRecognizer(ExampleRecognizer):
    """Takes half a second at least."""

    def transcribe(self, audio, sample_rate):
        if len(audio) < sample_rate // 2:
            raise RuntimeError("size mismatch")
        return super().transcribe(audio, sample_rate)


# Metrics --------------------------------------------------------------------------------------------------------------


class GoodMetric(ExampleMetric):
    """Levels of short speech."""


GOOD[GoodMetric] = {"seconds": 0.5}
SHORT = {"seconds": 0.5}


@fault("perfect is best", "1.0, its best, of a perfect case; got 0.0", **SHORT)
class WrongBest(GoodMetric):
    """A best value that a copy does not have."""

    best = 1.0


@fault("worse clones have worse figures", "falling figures of ever worse clones", **SHORT)
class WrongOrder(GoodMetric):
    """The direction is mistaken."""

    higher_is_better = True


@fault("input is untouched", "the input as it was", alone=False, **SHORT)
class HalvingMetric(GoodMetric):
    """Changes the clone."""

    def score(self, case):
        case.clone.mul_(0.5)
        return super().score(case)


@fault("two share no cases", "beside one that did", alone=False, **SHORT)
class SharedMetric(GoodMetric):
    """Cases in a list of the class."""

    everything: list = []

    def update(self, case):
        super().update(case)
        self.everything.append(self.scores[-1])

    def compute(self):
        return torch.cat(self.everything).mean() if self.everything else torch.tensor(float("nan"))

    def reset(self):
        super().reset()
        self.everything.clear()


@fault("describes itself", "a name of small letters", **SHORT)
class MisnamedMetric(GoodMetric):
    """A name with a space."""

    name = "level difference"


@fault("nothing measured is not a number", "NaN where nothing was measured; got 0.0", alone=False, **SHORT)
class ZeroMetric(GoodMetric):
    """Perfect before it measured."""

    def compute(self):
        return super().compute().nan_to_num()


@fault("weights count as repetition", "as of repeated cases", **SHORT)
class UnweightedMetric(GoodMetric):
    """Forgets the weights."""

    @classmethod
    def summarize(cls, scores, weights):
        return super().summarize(scores, (weights > 0).astype(float))


@fault("a case without answer leaves no trace", "as before the undefined case", **SHORT)
class TracingMetric(GoodMetric):
    """Keeps a score of a case that it refuses."""

    def update(self, case):
        from lightning_voiceclone.errors import UndefinedMeasureError

        super().update(case)
        if case.parallel is None:
            self.scores[-1] += 1
            raise UndefinedMeasureError("no parallel recording")


@fault("claims are checked", "nothing checks others; got ['differentiable']", **SHORT)
class DifferentiableMetric(GoodMetric):
    """A claim that no check of metrics covers."""

    capabilities = frozenset({"differentiable"})


# Corpora --------------------------------------------------------------------------------------------------------------


def lay_out(self, root: Path) -> None:
    """Three files of two speakers."""
    for name in ("anna_1.wav", "anna_2.wav", "ben_1.wav"):
        (root / name).touch()


GOOD[ExampleCorpus] = {"lay_out": lay_out}
LAY_OUT = {"lay_out": lay_out}
TURNS = itertools.count()


@fault("the same order each time", "the same 3 recordings in the same order", **LAY_OUT)
class UnorderedCorpus(ExampleCorpus):
    """Another order each time."""

    def recordings(self):
        found = [*super().recordings()]
        turn = next(TURNS) % 3
        yield from found[turn:] + found[:turn]


@fault("paths are below the root", "paths relative to the root", **LAY_OUT)
class AbsoluteCorpus(ExampleCorpus):
    """Whole paths."""

    def recordings(self):
        for item in super().recordings():
            yield Recording(str(self.root / item.path), item.speaker)


@fault("each recording has a speaker a split and a span", "the name of a speaker; got ''", **LAY_OUT)
class AnonymousCorpus(ExampleCorpus):
    """No speaker."""

    def recordings(self):
        for item in super().recordings():
            yield Recording(item.path, "")


@fault("a wrong root is one line that names it", "got no error", **LAY_OUT)
class EmptyCorpus(ExampleCorpus):
    """Nothing, without a word."""

    def recordings(self):
        if self.root.exists():
            yield from super().recordings()


@fault("each recording has a speaker a split and a span", "a split among", **LAY_OUT)
class DevCorpus(ExampleCorpus):
    """A split of another name."""

    def recordings(self):
        for item in super().recordings():
            yield Recording(item.path, item.speaker, split="dev")
