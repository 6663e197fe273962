"""Choose the text encoder of a voice by the name that a user gives."""

from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.core.interfaces import Dims, TextEncoder
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.voice.compatibility import check_parts
from lightning_voiceclone.voice.model import VoiceModel


def text_dims(voice: VoiceModel) -> Dims:
    """Widths with which a voice's text encoder is built: of its features, content, speaker embedding and prosody."""
    content, speaker = voice.content_encoder, voice.speaker_encoder
    return Dims(
        voice.spec.channels,
        content=content.channels if content else 0,
        speaker=speaker.channels if speaker else 0,
        pitch=voice.pitch is not None,
        energy=voice.energy is not None,
        frame_rate=voice.spec.frame_rate,
    )


def set_text_encoder(voice: VoiceModel, name: str) -> None:
    """Give a voice the text encoder that ``--text-encoder`` names.

    Args:
        voice: whose text encoder is replaced.
        name: "default" for the one that ships, or a folder or checkpoint of a trained one.

    Raises:
        ConfigurationError: if there is none of that name, or it is for other content.
        SpecMismatchError: if it was trained for other features; names the field and both values.
    """
    from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder

    if voice.content_encoder is None:
        raise ConfigurationError(
            "the voice has no content encoder: its generator takes no content that text could give"
        )
    encoder = (ParallelTextEncoder(text_dims(voice), pretrained=name) if name == "default"
               else load_part(name, TextEncoder.kind))  # fmt: skip
    assert isinstance(encoder, TextEncoder)
    if encoder.features_spec is not None:
        check_join("the voice", voice.spec, f"the text encoder {name}", encoder.features_spec)
    voice.text_encoder = encoder.eval()
    check_parts(voice)
