"""The metrics of an evaluation with their models, applied to one case at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.registry import constructor_parameters, make_part
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError, UndefinedMeasureError, nearest
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.sources import transcript_of

RECOGNIZER = "WhisperRecognizer"
SPEAKER_ENCODER = "ResemblyzerSpeakerEncoder"
ORDER = (  # of metrics in reports; those of plugins come after
    "similarity_reference", "similarity_source", "nearer_reference", "speaker_eer", "wer", "cer", "wer_self",
    "dnsmos_ovrl", "pesq_wb", "stoi", "snr_db", "segsnr_db", "rmse", "log_spectral_rmse_db", "spectral_correlation",
    "mcd_db", "f0_rmse_hz", "f0_correlation", "voicing_error", "duration_ratio",
)  # fmt: skip
KINDS = {"recognizer": "recognizers", "speaker_encoder": "speaker_encoders"}


@dataclass(frozen=True)
class PanelSettings:
    """Metrics and models as text, in which form they reach other processes.

    Args:
        metrics: names.
        recognizer: ``NAME:setting=value,…`` of the kind recognizers.
        speaker_encoder: ``NAME:setting=value,…`` of the kind speaker_encoders; one that takes audio.
    """

    metrics: tuple[str, ...]
    recognizer: str = RECOGNIZER
    speaker_encoder: str = SPEAKER_ENCODER


def known_metrics() -> dict[str, type[Metric]]:
    """All installed metrics by name: the package's own in order, then those of plugins.

    Raises:
        PluginError: if two have one name.
    """
    known: dict[str, type[Metric]] = {}
    for plugin in registry.installed():
        if plugin.kind != "metrics":
            continue
        try:
            cls: Any = plugin.load()
        except PluginError:
            continue  # `lvc plugins` reports it, and requesting it by name is an error
        if known.setdefault(cls.name, cls) is not cls:
            raise PluginError(
                f"{known[cls.name].__name__} and {cls.__name__} are both called {cls.name}; uninstall one"
            )
    return dict(sorted(known.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def chosen_metrics(names: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the requested metrics; all for none. Class names are accepted too.

    Raises:
        ConfigurationError: if there is no such metric, or none is left.
    """
    known = known_metrics()
    by_name = {name: name for name in known} | {cls.__name__: name for name, cls in known.items()}
    for name in (*names, *without):
        if name not in by_name:
            raise ConfigurationError(
                f"no metric is called {name!r}{nearest(name, by_name)}; there are {', '.join(known)}"
            )
    requested = {by_name[name] for name in names} or set(known)
    left = tuple(name for name in known if name in requested - {by_name[name] for name in without})
    if not left:
        raise ConfigurationError("no metric is left; name fewer with --without")
    return left


class Panel:
    """Metrics with their models, built once and applied to one case after another.

    Args:
        settings: names of metrics and models.

    Raises:
        LVCError: if a recogniser or speaker encoder has a setting that cannot work.
    """

    def __init__(self, settings: PanelSettings) -> None:
        self.metrics: dict[str, Metric] = {}
        self.absent: dict[str, str] = {}
        self._parts: dict[str, Any] = {}
        known = known_metrics()
        for name in settings.metrics:
            try:
                self.metrics[name] = self._built(known[name], settings)
            except LVCError as error:
                self.absent[name] = " ".join(str(error).split())

    def _built(self, cls: type[Metric], settings: PanelSettings) -> Metric:
        wanted = [role for role in KINDS if role in constructor_parameters(cls)]
        for role in wanted:
            if role not in self._parts:
                try:
                    self._parts[role] = make_part(KINDS[role], getattr(settings, role))
                except LVCError as error:
                    self._parts[role] = error
            if isinstance(self._parts[role], LVCError):
                raise self._parts[role]
        return cls(**{role: self._parts[role] for role in wanted})

    def measure(self, case: Case, names: Sequence[str]) -> dict[str, Any]:
        """The case's results by these metrics: ``scores``, or ``reasons`` why there is none.

        ``faults`` are metrics without a score because of the case, ``failed`` those of them that raised an unexpected
        error; ``heard`` and ``heard_source`` are the recogniser's transcripts.
        """
        results: dict[str, Any] = {"scores": {}, "reasons": {}, "faults": [], "failed": []}
        for name in names:
            metric = self.metrics[name]
            metric.reset()
            try:
                metric.update(case)
                results["scores"][name] = _finite(metric.scores[0][0])
            except UndefinedMeasureError as error:
                results["reasons"][name] = " ".join(str(error).split())
            except LVCError as error:
                results["reasons"][name] = " ".join(str(error).split())
                results["faults"].append(name)
            except Exception as error:  # one metric that did not foresee a recording must not end the others
                results["reasons"][name] = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
                results["faults"].append(name)
                results["failed"].append(name)
        return results | self._transcripts(case, names)

    def _transcripts(self, case: Case, names: Sequence[str]) -> dict[str, str]:
        recognizers = [getattr(self.metrics[name], "recognizer", None) for name in names]
        recognizer = next((found for found in recognizers if found is not None), None)
        if recognizer is None:
            return {}
        try:
            transcripts = {"heard": transcript_of(recognizer, case.clone, case.sample_rate)}
            if "wer_self" in names:  # it has computed this already
                transcripts["heard_source"] = transcript_of(recognizer, case.source, case.sample_rate)
            return transcripts
        except Exception:  # the metrics have reported why
            return {}


def _finite(score: Tensor) -> list[float]:
    """The numbers of a score, all finite."""
    values: list[float] = score.tolist()
    if not all(map(math.isfinite, values)):
        raise ValueError(f"it gave {values}")
    return values
