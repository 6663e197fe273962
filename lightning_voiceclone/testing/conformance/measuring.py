"""Checks that every metric and every recogniser must pass."""

# ruff: noqa: D102 - a check's name describes it

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer
from lightning_voiceclone.errors import UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.testing.conformance.part import PartConformance, seeded
from lightning_voiceclone.testing.signals import speech_like

RATE = 16000


class MetricConformance(PartConformance):
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
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name), f"{metric.name!r} cannot be a key of metrics.json"
        assert metric.unit
        assert isinstance(metric.higher_is_better, bool)
        assert metric.source is None or isinstance(metric.source, MetricSource)

    def test_perfect_is_best(self) -> None:
        metric = self.make()
        if metric.best is None:
            pytest.skip("no best value is claimed")
        assert self.figure(metric, self.perfect()) == pytest.approx(metric.best, abs=1e-3)

    def test_worse_clones_have_worse_figures(self) -> None:
        metric, cases = self.make(), self.graded()
        if not cases:
            pytest.skip("no order is claimed")
        figures = [self.figure(metric, case) for case in cases]
        signed = figures if metric.higher_is_better else [-value for value in figures]
        assert all(better > worse for better, worse in itertools.pairwise(signed)), figures

    def test_nothing_measured_is_not_a_number(self) -> None:
        assert np.isnan(float(self.make().compute()))

    def test_deterministic_and_leaves_audio_alone(self) -> None:
        metric, case = self.make(), self.copy()
        before = {role: getattr(case, role).clone() for role in ("source", "reference", "clone")}
        assert self.figure(metric, case) == self.figure(metric, case)
        for role, audio in before.items():
            assert torch.equal(getattr(case, role), audio), f"{role} was changed"

    def test_a_case_without_answer_leaves_no_trace(self) -> None:
        metric, case = self.make(), self.perfect()
        alone = self.figure(metric, case)
        metric.reset()
        metric.update(case)
        try:
            metric.update(replace(case, parallel=None, genuine=None))
        except UndefinedMeasureError:
            assert float(metric.compute()) == alone

    def test_weights_count_as_repetition(self) -> None:
        metric = self.make()
        metric.reset()
        for case in (self.perfect(), *self.graded()[:2]):
            metric.update(case)
        scores = torch.cat([*metric.scores]).numpy()
        weights = np.arange(1.0, len(scores) + 1)[None]
        repeated = np.repeat(scores, weights[0].astype(int), axis=0)
        expected = metric.summarize(repeated, np.ones((1, len(repeated))))
        np.testing.assert_allclose(metric.summarize(scores, weights), expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(metric.summarize(scores, 3 * weights), expected, rtol=1e-9, atol=1e-12)
        assert metric.summarize(scores, np.ones((5, len(scores)))).shape == (5,)
        assert np.isnan(metric.summarize(scores, np.zeros((1, len(scores))))).all()


class RecognizerConformance(PartConformance):
    """Text for speech, the same each time, whatever the length; the model behind it."""

    sizes = (RATE, 3 * RATE)

    def make(self) -> Recognizer:
        """The recogniser."""
        part = self.part(**self.arguments)
        assert isinstance(part, Recognizer)
        return part

    def test_names_its_model(self) -> None:
        source = self.make().source
        assert source.name
        assert source.version
        assert source.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", source.sha256)

    def test_text_and_the_same_each_time(self) -> None:
        recognizer = self.make()
        for size in self.sizes:
            audio = _speech(size / RATE, speaker=0, seed=0)
            before = audio.clone()
            text = recognizer.transcribe(audio, RATE)
            assert isinstance(text, str)
            assert recognizer(audio, RATE) == text
            assert torch.equal(audio, before)

    def test_silence_is_text_too(self) -> None:
        assert isinstance(self.make().transcribe(torch.zeros(RATE), RATE), str)


def _speech(seconds: float, *, speaker: int, seed: int) -> Tensor:
    return torch.from_numpy(speech_like(seconds, sample_rate=RATE, speaker=speaker, seed=seed).audio)
