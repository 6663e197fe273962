"""The kinds of parts: one row each. The registry, the conformance tests, the commands and the docs read this table.

It imports nothing heavy: contracts and conformance classes are given by name and imported on demand.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Literal

GROUP_PREFIX = "lightning_voiceclone."  # of the groups of entry points


@dataclass(frozen=True)
class Kind:
    """One kind of part.

    Args:
        name: of the kind; after ``lightning_voiceclone.``, of its group of entry points.
        singular: what one part is called.
        contract: ``module:Class`` to derive from, in this package.
        conformance: name in ``lightning_voiceclone.testing`` of the tests to inherit.
        first_argument: what the constructor takes first, by position: the widths that networks share, the spec of the
            features, or the root of a corpus; None where the parts of the kind share no argument.
        stored: whether a model may store such parts, so that a file may name one. The other kinds read or download
            files.
    """

    name: str
    singular: str
    contract: str
    conformance: str
    first_argument: Literal["dims", "spec", "root"] | None = None
    stored: bool = True

    @property
    def word(self) -> str:
        """What one part is called, as one word: the name of its option in recipes and of ``lvc plugins new``."""
        return self.singular.replace(" ", "_")

    @property
    def group(self) -> str:
        """The group of entry points."""
        return GROUP_PREFIX + self.name

    def load_contract(self) -> type:
        """Import the class to derive from."""
        module, _, name = self.contract.partition(":")
        return _imported(module, name)

    def load_conformance(self) -> type:
        """Import the class of tests to inherit; needs pytest."""
        return _imported("testing.conformance", self.conformance)


def _imported(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"lightning_voiceclone.{module}"), name)


_ROWS = (
    Kind("feature_extractors", "feature extractor", "core.interfaces:FeatureExtractor", "FeatureExtractorConformance"),
    Kind("content_encoders", "content encoder", "core.interfaces:ContentEncoder", "ContentEncoderConformance", "dims"),
    Kind("speaker_encoders", "speaker encoder", "core.interfaces:SpeakerEncoder", "SpeakerEncoderConformance", "dims"),
    Kind("style_encoders", "style encoder", "core.interfaces:StyleEncoder", "StyleEncoderConformance"),
    Kind("text_encoders", "text encoder", "core.interfaces:TextEncoder", "TextEncoderConformance", "dims"),
    Kind("generators", "generator", "core.interfaces:Generator", "GeneratorConformance", "dims"),
    Kind("discriminators", "discriminator", "core.interfaces:Discriminator", "DiscriminatorConformance", "dims"),
    Kind("adversarial_losses", "adversarial loss", "core.interfaces:AdversarialLoss", "AdversarialLossConformance"),
    Kind("vocoders", "vocoder", "core.interfaces:Vocoder", "VocoderConformance", "spec"),
    Kind("audio_transforms", "audio transform", "core.interfaces:AudioTransform", "AudioTransformConformance"),
    Kind("feature_transforms", "feature transform", "core.interfaces:FeatureTransform", "FeatureTransformConformance"),
    Kind("recognizers", "recognizer", "core.interfaces:Recognizer", "RecognizerConformance", stored=False),
    Kind("metrics", "metric", "evaluation.metrics.metric:Metric", "MetricConformance", stored=False),
    Kind("corpora", "corpus", "core.interfaces:Corpus", "CorpusConformance", "root", stored=False),
)
KINDS = {kind.name: kind for kind in _ROWS}
