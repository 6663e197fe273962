"""Checks that every metric and every recogniser must pass."""

# ruff: noqa: D102 - a check's name describes it

import itertools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.errors import UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.testing.conformance.expect import expect
from lightning_voiceclone.testing.conformance.part import ComputingConformance, moved, seeded
from lightning_voiceclone.testing.conformance.speech import one_speaker

RATE = 16000


class MetricConformance(ComputingConformance):
    """The best value for a perfect case, worse values for worse clones; weights count as repetition; no side effects.

    ``noise_db`` are the signal-to-noise ratios of :meth:`graded`, from the best on. Override :meth:`perfect` where
    something else than a copy is perfect, :meth:`graded` where something else than noise makes a clone worse.
    """

    noise_db: tuple[float, ...] = (20.0, 10.0, 0.0)
    seconds = 2.0

    def make(self) -> Metric:
        """The metric, with its models."""
        part = self.part(**self.arguments)
        assert isinstance(part, Metric)
        return part

    def used(self) -> Metric:
        return self.make()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        case = self.copy()
        values = {role: getattr(case, role) for role in ("source", "reference", "clone")}
        if variant:
            values["clone"] = 0.5 * values["clone"].flip(-1)
        return case, values

    def outcome(self, part: Any, *arguments: Any) -> Any:
        case, values = arguments
        return moved(self.figure(part, replace(case, **values)), lambda value: value)

    def copy(self) -> Case:
        """A copy of the source, which is its own parallel recording."""
        source = _speech(self.seconds, speaker=1, seed=0)
        return Case(
            name="copy",
            source=source,
            reference=_speech(self.seconds, speaker=2, seed=1),
            clone=source.clone(),
            sample_rate=RATE,
            transcript="some words that were said",
            parallel=source,
            genuine=_speech(self.seconds, speaker=2, seed=2),
        )

    def perfect(self) -> Case:
        """A case with the best value."""
        return self.copy()

    def graded(self) -> list[Case]:
        """Cases in the order from best to worst by this metric; none for a metric that promises no order."""
        case = self.copy()
        seeded()
        noise = torch.randn_like(case.clone) * case.clone.square().mean().sqrt()
        return [replace(case, clone=case.clone + noise * 10 ** (-level / 20)) for level in self.noise_db]

    def figure(self, metric: Metric, *cases: Case) -> float:
        """The figure over these cases alone."""
        metric.reset()
        for case in cases:
            metric.update(case)
        return float(metric.compute())

    def test_describes_itself(self) -> None:
        metric = self.make()
        named = re.fullmatch(r"[a-z][a-z0-9_]*", metric.name) is not None
        expect(named, "a name of small letters, digits and _, for metrics.json", repr(metric.name))
        expect(bool(metric.unit), "a unit", repr(metric.unit))
        expect(isinstance(metric.higher_is_better, bool), "higher_is_better True or False", metric.higher_is_better)
        source = metric.source
        expect(source is None or isinstance(source, MetricSource), "a MetricSource or None", type(source).__name__)

    def test_perfect_is_best(self) -> None:
        metric = self.make()
        if metric.best is None:
            pytest.skip("no best value is claimed")
        figure = self.figure(metric, self.perfect())
        expect(figure == pytest.approx(metric.best, abs=1e-3), f"{metric.best}, its best, of a perfect case", figure)

    def test_worse_clones_have_worse_figures(self) -> None:
        metric, cases = self.make(), self.graded()
        if not cases:
            pytest.skip("no order is claimed")
        figures = [self.figure(metric, case) for case in cases]
        signed = figures if metric.higher_is_better else [-value for value in figures]
        order = "falling" if metric.higher_is_better else "rising"
        falls = all(better > worse for better, worse in itertools.pairwise(signed))
        expect(falls, f"{order} figures of ever worse clones", figures)

    def test_nothing_measured_is_not_a_number(self) -> None:
        figure = float(self.make().compute())
        expect(bool(np.isnan(figure)), "NaN where nothing was measured", figure)

    def test_two_share_no_cases(self) -> None:
        first, second = self.make(), self.make()
        second.update(self.perfect())
        figure = float(first.compute())
        expect(bool(np.isnan(figure)), "NaN of a metric that measured nothing, beside one that did", figure)

    def test_a_case_without_answer_leaves_no_trace(self) -> None:
        metric, case = self.make(), self.perfect()
        alone = self.figure(metric, case)
        metric.reset()
        metric.update(case)
        try:
            metric.update(replace(case, parallel=None, genuine=None))
        except UndefinedMeasureError:
            expect(float(metric.compute()) == alone, f"{alone}, as before the undefined case", float(metric.compute()))

    def test_weights_count_as_repetition(self) -> None:
        metric = self.make()
        metric.reset()
        for case in (self.perfect(), *self.graded()[:2]):
            metric.update(case)
        scores = torch.cat([*metric.scores]).numpy()
        weights = np.arange(1.0, len(scores) + 1)[None]
        repeated = np.repeat(scores, weights[0].astype(int), axis=0)
        expected = metric.summarize(repeated, np.ones((1, len(repeated))))
        for factor in (1, 3):
            got = metric.summarize(scores, factor * weights)
            same = np.allclose(got, expected, rtol=1e-9, atol=1e-12)
            expect(same, f"{expected}, as of repeated cases, with weights times {factor}", got)
        shape = metric.summarize(scores, np.ones((5, len(scores)))).shape
        expect(shape == (5,), "(5,) figures of 5 rows of weights", shape)
        nothing = metric.summarize(scores, np.zeros((1, len(scores))))
        expect(bool(np.isnan(nothing).all()), "NaN where all weights are 0", nothing)


class RecognizerConformance(ComputingConformance):
    """Text for speech, the same each time, whatever the length; the model behind it."""

    sizes = (RATE, 3 * RATE)

    def make(self) -> Recognizer:
        """The recogniser."""
        part = self.part(**self.arguments)
        assert isinstance(part, Recognizer)
        return part

    def test_names_its_model(self) -> None:
        source = self.make().source
        expect(bool(source.name and source.version), "a source with a name and a version", source)
        known = source.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", source.sha256) is not None
        expect(known, "64 hexadecimal digits of its weights' hash, or None", source.sha256)

    def used(self) -> Recognizer:
        return self.make()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        audio = _speech(self.sizes[0] / RATE, speaker=0, seed=0)
        return (audio.flip(-1) if variant else audio, RATE)

    def test_text_of_any_length(self) -> None:
        recognizer = self.make()
        for size in (*self.sizes, RATE // 100):
            text = recognizer.transcribe(_speech(size / RATE, speaker=0, seed=0), RATE)
            expect(isinstance(text, str), f"text of {size} samples", type(text).__name__)

    def test_silence_is_text_too(self) -> None:
        text = self.make().transcribe(torch.zeros(RATE), RATE)
        expect(isinstance(text, str), "text of silence", type(text).__name__)


def _speech(seconds: float, *, speaker: int, seed: int) -> Tensor:
    return one_speaker(seconds, RATE, speaker, seed)
