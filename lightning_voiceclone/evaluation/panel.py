"""The judges of an evaluation, and what they say of one case."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.registry import make_part
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError, UndefinedMeasureError, nearest
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.sources import heard_text

RECOGNIZER = "WhisperRecognizer"
SPEAKER_ENCODER = "ResemblyzerSpeakerEncoder"
ORDER = (  # of figures in reports; those of plugins come after
    "similarity_reference", "similarity_source", "nearer_reference", "speaker_eer", "wer", "cer", "wer_self",
    "dnsmos_ovrl", "pesq_wb", "stoi", "snr_db", "segsnr_db", "rmse", "log_spectral_rmse_db", "spectral_correlation",
    "mcd_db", "f0_rmse_hz", "f0_correlation", "voicing_error", "duration_ratio",
)  # fmt: skip
KINDS = {"recognizer": "recognizers", "speaker_encoder": "speaker_encoders"}


@dataclass(frozen=True)
class PanelSettings:
    """Who judges, as text: in this form it reaches other processes.

    Args:
        measures: names of the figures.
        recognizer: ``NAME:setting=value,…`` of the kind recognizers.
        speaker_encoder: ``NAME:setting=value,…`` of the kind speaker_encoders; one that hears audio.
    """

    measures: tuple[str, ...]
    recognizer: str = RECOGNIZER
    speaker_encoder: str = SPEAKER_ENCODER


def known_measures() -> dict[str, type[Metric]]:
    """All installed measures by the names of their figures: the package's own in order, then those of plugins.

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
            continue  # `lvc plugins` tells; whoever asks for it by name is told that it is not there
        if known.setdefault(cls.name, cls) is not cls:
            raise PluginError(
                f"{known[cls.name].__name__} and {cls.__name__} are both called {cls.name}; uninstall one"
            )
    return dict(sorted(known.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def chosen_measures(measures: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the figures that were asked for; all for none. Class names are understood too.

    Raises:
        ConfigurationError: if there is no such measure, or none is left.
    """
    known = known_measures()
    names = {name: name for name in known} | {cls.__name__: name for name, cls in known.items()}
    for name in (*measures, *without):
        if name not in names:
            raise ConfigurationError(
                f"no measure is called {name!r}{nearest(name, names)}; there are {', '.join(known)}"
            )
    asked = {names[name] for name in measures} or set(known)
    left = tuple(name for name in known if name in asked - {names[name] for name in without})
    if not left:
        raise ConfigurationError("no measure is left to judge by; name fewer with --without")
    return left


class Panel:
    """Measures with their judges, built once and asked about one case after another.

    Args:
        settings: who judges.

    Raises:
        LVCError: if a recogniser or speaker encoder has a setting that cannot work.
    """

    def __init__(self, settings: PanelSettings) -> None:
        self.measures: dict[str, Metric] = {}
        self.absent: dict[str, str] = {}
        self._parts: dict[str, Any] = {}
        known = known_measures()
        for name in settings.measures:
            try:
                self.measures[name] = self._made(known[name], settings)
            except LVCError as error:
                self.absent[name] = " ".join(str(error).split())

    def _made(self, cls: type[Metric], settings: PanelSettings) -> Metric:
        wanted = [role for role in KINDS if role in inspect.signature(cls).parameters]
        for role in wanted:
            if role not in self._parts:
                try:
                    self._parts[role] = make_part(KINDS[role], getattr(settings, role))
                except LVCError as error:
                    self._parts[role] = error
            if isinstance(self._parts[role], LVCError):
                raise self._parts[role]
        return cls(**{role: self._parts[role] for role in wanted})

    def judge(self, case: Case, names: Sequence[str]) -> dict[str, Any]:
        """What these measures say: ``scores``, or ``reasons`` why not.

        ``faults`` are measures without an answer for which the case is to blame, ``failed`` those of them that broke
        down; ``heard`` and ``heard_source`` what the recogniser understood.
        """
        told: dict[str, Any] = {"scores": {}, "reasons": {}, "faults": [], "failed": []}
        for name in names:
            measure = self.measures[name]
            measure.reset()
            try:
                measure.update(case)
                told["scores"][name] = _finite(measure.scores[0][0])
            except UndefinedMeasureError as error:
                told["reasons"][name] = " ".join(str(error).split())
            except LVCError as error:
                told["reasons"][name] = " ".join(str(error).split())
                told["faults"].append(name)
            except Exception as error:  # one measure that did not foresee a recording must not end the others
                told["reasons"][name] = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
                told["faults"].append(name)
                told["failed"].append(name)
        return told | self._heard(case, names)

    def _heard(self, case: Case, names: Sequence[str]) -> dict[str, str]:
        recognizers = [getattr(self.measures[name], "recognizer", None) for name in names]
        recognizer = next((found for found in recognizers if found is not None), None)
        if recognizer is None:
            return {}
        try:
            told = {"heard": heard_text(recognizer, case.clone, case.sample_rate)}
            if "wer_self" in names:  # which has asked already
                told["heard_source"] = heard_text(recognizer, case.source, case.sample_rate)
            return told
        except Exception:  # the measures have told why
            return {}


def _finite(score: Tensor) -> list[float]:
    """The numbers of a score, of which a mean can be taken."""
    values: list[float] = score.tolist()
    if not all(map(math.isfinite, values)):
        raise ValueError(f"it gave {values}")
    return values
