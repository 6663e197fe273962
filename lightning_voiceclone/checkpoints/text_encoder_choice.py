"""Choose the text encoder of a voice by the name that a user gives."""

import contextlib

import torch

from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.core.interfaces import Dims, TextEncoder
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.errors import AlignmentError, ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER
from lightning_voiceclone.utils.reading import excerpt
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
        ConfigurationError: if there is none of that name.
        SpecMismatchError: if it was trained for other features or content, cannot take the voice's speaker embedding,
            or does not give the pitch or energy that the voice takes; names what differs.
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
    _try_out(voice, encoder, name)


@torch.inference_mode()
def _try_out(voice: VoiceModel, encoder: TextEncoder, name: str) -> None:
    """Reject an encoder that fails on a text of one token with a speaker of the voice, or gives less than it takes."""
    dims, one = text_dims(voice), torch.ones(1, dtype=torch.long)
    prompt = SpeakerPrompt(
        one,
        speaker=torch.zeros(1, dims.speaker) if dims.speaker else None,
        register=torch.tensor([UNKNOWN_REGISTER]) if dims.pitch else None,
    )
    try:
        with contextlib.suppress(AlignmentError):  # of one phoneme, which is no text
            encoder.durations(one[None], one, prompt)
        script = encoder(one[None], one, prompt, durations=one[None])
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = excerpt(" ".join(str(error).split()))
        raise SpecMismatchError(
            f"the text encoder {name} cannot take a speaker of this voice ({dims.speaker} numbers): {reason}; take one"
            " that was trained with this voice"
        ) from error
    wanted = {"f0": dims.pitch, "voicing": dims.pitch, "energy": dims.energy}
    if lacking := [field for field, takes in wanted.items() if takes and getattr(script, field) is None]:
        raise SpecMismatchError(
            f"the voice takes {', '.join(lacking)}, which the text encoder {name} does not give; take one that was"
            " trained with this voice"
        )
