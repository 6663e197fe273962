"""Checks that every part of a kind must pass: inherit the class of the kind in a pytest module, and name your part.

    class TestUNetGenerator(GeneratorConformance):
        part = UNetGenerator
        arguments = {"width": 16}

Override ``make`` where the part is built otherwise.
"""

from lightning_voiceclone.testing.conformance.adversarial import AdversarialLossConformance, DiscriminatorConformance
from lightning_voiceclone.testing.conformance.corpora import CorpusConformance
from lightning_voiceclone.testing.conformance.encoders import ContentEncoderConformance, SpeakerEncoderConformance
from lightning_voiceclone.testing.conformance.extractors import FeatureExtractorConformance
from lightning_voiceclone.testing.conformance.generators import GeneratorConformance
from lightning_voiceclone.testing.conformance.measuring import MetricConformance, RecognizerConformance
from lightning_voiceclone.testing.conformance.styles import StyleEncoderConformance
from lightning_voiceclone.testing.conformance.text import TextEncoderConformance
from lightning_voiceclone.testing.conformance.transforms import AudioTransformConformance, FeatureTransformConformance
from lightning_voiceclone.testing.conformance.vocoders import VocoderConformance

__all__ = [
    "AdversarialLossConformance",
    "AudioTransformConformance",
    "ContentEncoderConformance",
    "CorpusConformance",
    "DiscriminatorConformance",
    "FeatureExtractorConformance",
    "FeatureTransformConformance",
    "GeneratorConformance",
    "MetricConformance",
    "RecognizerConformance",
    "SpeakerEncoderConformance",
    "StyleEncoderConformance",
    "TextEncoderConformance",
    "VocoderConformance",
]
