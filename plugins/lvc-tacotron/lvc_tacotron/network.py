"""The layers of torchaudio's Tacotron2, run so that padding does not matter and dropout can be repeated."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lightning_voiceclone.core.masking import keep, reach_mask

DROPPED = 0.5  # of the numbers in the convolutions, and between the layers of the prenet


@dataclass(frozen=True)
class Decoded:
    """What the decoder makes of a text, step by step.

    Args:
        frames: (B, M, S) before the postnet.
        stop: (B, S) logits of the end.
        attention: (B, S, L) weights; each step's sum to 1.
        steps: (B,) that are real.
        ended: (B,) whether the end was predicted.
    """

    frames: Tensor
    stop: Tensor
    attention: Tensor
    steps: Tensor
    ended: Tensor


class TacotronNetwork(nn.Module):
    """Tacotron 2 (Shen et al. 2018) with the speaker's embedding at the encoder's output.

    The speaker's embedding passes a linear layer and is added to each token's vector: the same as a linear layer over
    both, concatenated. Batch norm takes its statistics from what is real. The prenet drops half of its numbers in use
    too, as in the paper; there by numbers of ``seed``, the same for all rows.

    Args:
        vocabulary: number of tokens.
        channels: M, numbers of a step.
        speaker: D; 0 for none.
        width: of the encoder.
        decoder: of the two recurrent layers of the decoder.
        attention: of the attention's hidden layer.
        prenet: of the prenet.
        postnet: of the postnet.
    """

    def __init__(self, vocabulary: int, channels: int, speaker: int, *, width: int, decoder: int, attention: int,
                 prenet: int, postnet: int):  # fmt: skip
        super().__init__()
        from torchaudio.models import Tacotron2

        self.tacotron = Tacotron2(
            n_mels=channels, n_symbol=vocabulary, symbol_embedding_dim=width, encoder_embedding_dim=width,
            attention_rnn_dim=decoder, decoder_rnn_dim=decoder, attention_hidden_dim=attention, prenet_dim=prenet,
            postnet_embedding_dim=postnet,
        )  # fmt: skip
        self.speaker = nn.Linear(speaker, width, bias=False) if speaker else None

    def encode(self, tokens: Tensor, lengths: Tensor, speaker: Tensor | None) -> Tensor:
        """Vectors (B, L, width) of the tokens (B, L), of which ``lengths`` (B,) are real."""
        real = reach_mask(lengths, tokens.shape[1])
        x = keep(self.tacotron.embedding(tokens).transpose(1, 2), real)
        encoder = self.tacotron.encoder
        for convolution, norm in encoder.convolutions:
            x = F.relu(_normalised(norm, convolution(x), real))
            x = keep(F.dropout(x, DROPPED, self.training), real)
        packed = pack_padded_sequence(x.transpose(1, 2), lengths.cpu(), batch_first=True, enforce_sorted=False)
        memory, _ = pad_packed_sequence(encoder.lstm(packed)[0], batch_first=True, total_length=tokens.shape[1])
        if self.speaker is not None and speaker is not None:
            memory = memory + self.speaker(speaker)[:, None]
        return memory

    def decode(
        self,
        memory: Tensor,
        lengths: Tensor,
        *,
        target: Tensor | None = None,
        windows: Tensor | None = None,
        most: Tensor | None = None,
        seed: int = 0,
    ) -> Decoded:
        """Steps from the encoder's vectors.

        Args:
            memory: (B, L, width).
            lengths: (B,) tokens that are real.
            target: (B, M, S), of which each step takes the last one, in place of its own output.
            windows: (B, S, L) tokens to which each step may attend; None for all.
            most: (B,) steps after which a text that has not ended is given up. With a target or windows there are as
                many steps as these have.
            seed: of the prenet's dropout, out of training.
        """
        decoder, state = self.tacotron.decoder, self._beginning(memory)
        keys = decoder.attention_layer.memory_layer(memory)
        if most is None:
            steps = target.shape[2] if target is not None else windows.shape[1] if windows is not None else 0
            most = torch.full_like(lengths, steps)
        padding = ~reach_mask(lengths, memory.shape[1])[:, 0]
        previous = memory.new_zeros(len(memory), decoder.n_mels)
        count, ended = torch.zeros_like(lengths), torch.zeros_like(lengths, dtype=torch.bool)
        made: list[tuple[Tensor, Tensor, Tensor]] = []
        for step, drops in zip(range(int(most.max())), self._drops(seed), strict=False):
            mask = padding if windows is None else ~windows[:, step]
            frame, stop, *state = decoder.decode(self._prenet(previous, drops), *state, memory, keys, mask)
            made.append((frame, stop[:, 0], state[4]))
            previous = frame if target is None else target[..., step]
            going = ~ended & (count < most)
            count, ended = count + going, ended | (going & (stop[:, 0] > 0))
            if target is None and windows is None and not (~ended & (count < most)).any():
                break
        frames, stops, attention = (torch.stack(values, -1) for values in zip(*made, strict=True))
        return Decoded(frames, stops, attention.transpose(1, 2), count, ended)

    def refine(self, decoded: Tensor, steps: Tensor) -> Tensor:
        """Frames (B, M, S) with what the postnet adds; ``steps`` (B,) are real."""
        real = reach_mask(steps, decoded.shape[2])
        x = keep(decoded, real)
        *inner, last = self.tacotron.postnet.convolutions
        for convolution, norm in inner:
            x = torch.tanh(_normalised(norm, convolution(x), real))
            x = keep(F.dropout(x, DROPPED, self.training), real)
        convolution, norm = last
        return decoded + F.dropout(_normalised(norm, convolution(x), real), DROPPED, self.training)

    def _beginning(self, memory: Tensor) -> list[Tensor]:
        """Hidden and cell of both layers, last and summed weights, context: in the order of Tacotron2's decode."""
        (rows, tokens, width), decoder = memory.shape, self.tacotron.decoder
        first, second = decoder.attention_rnn_dim, decoder.decoder_rnn_dim
        return [memory.new_zeros(rows, size) for size in (first, first, second, second, tokens, tokens, width)]

    def _prenet(self, x: Tensor, drops: Tensor | None) -> Tensor:
        for number, layer in enumerate(self.tacotron.decoder.prenet.layers):
            x = F.relu(layer(x))
            x = F.dropout(x, DROPPED) if drops is None else x * (drops[number] / (1 - DROPPED)).to(x)
        return x

    def _drops(self, seed: int) -> Iterator[Tensor | None]:
        """For each step, which numbers of the prenet's layers stay (2, prenet); None in training, to draw them."""
        random = torch.Generator().manual_seed(seed)
        shape = len(self.tacotron.decoder.prenet.layers), self.tacotron.decoder.prenet_dim
        while True:
            yield None if self.training else torch.rand(shape, generator=random) >= DROPPED


def _normalised(norm: nn.Module, x: Tensor, real: Tensor) -> Tensor:
    """Batch norm of x (B, C, T), by the statistics of its real frames (B, 1, T) in training."""
    assert isinstance(norm, nn.BatchNorm1d)
    if not norm.training or int(real.sum()) == 1:  # of a single frame there is no variance
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    frames = x.transpose(1, 2)
    return torch.zeros_like(frames).masked_scatter(real.transpose(1, 2), norm(frames[real[:, 0]])).transpose(1, 2)
