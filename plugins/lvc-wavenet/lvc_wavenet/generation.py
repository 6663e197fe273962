"""Generate sample by sample: with the layers' earlier inputs cached in ring buffers, or naively, for comparison.

Both compute in double precision: a rounding error of single precision sometimes draws another sample, and all samples
after it differ.
"""

import contextlib
import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.streaming import State
from lvc_wavenet.network import CLASSES, SILENCE, TAPS, Layer, Network, before, to_samples

CHUNK_FRAMES = 8  # whose conditions are made at once
BEHIND = TAPS - 1 + 1  # frames before that two convolutions see, and the middle before, from which a line is drawn


class CachedGeneration:
    """A network, laid out for one sample after the other on a CPU, with the state of its utterances.

    Each layer needs its input of ``dilation`` samples ago; all these stand in one tensor, a ring a layer, are fetched
    in one step and multiplied in another. What depends on the sample just drawn then takes four operations a layer:
    sigmoid(b) is (1 + tanh(b / 2)) / 2, so that one tanh serves both halves, with the factors taken into the weights.
    Nothing is allocated but in the last layers.

    Args:
        network: whose weights are copied.
        state: of :func:`first_state`, or of the chunk before; stays as it is.
    """

    def __init__(self, network: Network, state: State):
        layers: list[Layer] = list(network.layers)  # type: ignore[arg-type]
        count, width = len(layers), network.embed.embedding_dim
        self.embed = network.embed.weight.double()
        halves = torch.ones(2 * width, dtype=torch.float64)
        halves[width:] = 0.5
        taps = torch.stack([layer.dilated.weight.double() for layer in layers]) * halves[:, None, None]
        self.earlier = taps[..., 0].transpose(1, 2).contiguous()
        self.present = taps[..., 1].transpose(1, 2).contiguous().unbind()
        self.halves = halves
        self.residual = [_with_bias(layer.residual) for layer in layers if layer.residual is not None]
        self.skip = torch.cat([_with_bias(layer.skip) for layer in layers])
        self.mix, self.leave = _matrix(network.mix), _matrix(network.leave)
        self.mix_bias, self.leave_bias = _bias(network.mix), _bias(network.leave)
        rows = len(state["rings"])
        self._take([layer.dilation for layer in layers], state, rows, width)
        self.shape = (rows, count, 2 * width)

    def _take(self, dilations: list[int], state: State, rows: int, width: int) -> None:
        count, double = len(dilations), torch.float64
        self.rings = state["rings"].transpose(0, 1).clone(memory_format=torch.contiguous_format)
        starts = torch.tensor([0, *dilations[:-1]]).cumsum(0)
        turns = torch.arange(math.lcm(*dilations))[:, None] % torch.tensor(dilations)
        self.places = (starts + turns).unbind()
        self.clock = int(state["clock"][0])
        self.previous = state["previous"].clone()
        self.fetched = torch.empty(count, rows, width, dtype=double)
        self.inputs = torch.empty(count, rows, width, dtype=double)
        self.sums = torch.empty(count, rows, 2 * width, dtype=double)
        # A column of ones takes the bias along; the factor 1/2 of the sigmoid stands in the weights.
        self.gated = torch.ones(rows, count, width + 1, dtype=double)
        inputs, gated = self.inputs.unbind(), self.gated.unbind(1)
        self.gates = [
            (sums, sums[:, :width], sums[:, width:], x, present, with_one[:, :width])
            for sums, x, present, with_one in zip(self.sums, inputs, self.present, gated, strict=True)
        ]
        self.ways_on = list(zip(inputs[:-1], gated[:-1], self.residual, inputs[1:], strict=True))

    def state(self) -> State:
        """What the next samples need of those before: see :func:`first_state`."""
        clock = torch.full_like(self.previous, self.clock)
        return {"rings": self.rings.transpose(0, 1), "previous": self.previous, "clock": clock}

    def next_classes(self, conditions: Tensor, draws: Tensor) -> Tensor:
        """Classes (B, N) of the next samples.

        Args:
            conditions: (B, layers * 2 * width, N) at the sample rate.
            draws: (N,) from 0 to 1, one a sample; the rows share them.
        """
        rows, count, width = self.shape
        ordered = conditions.reshape(rows, count, width, -1).permute(3, 1, 0, 2) * self.halves
        drawn = [self._next(condition, draw) for condition, draw in zip(ordered.unbind(), draws.split(1), strict=True)]
        return torch.stack(drawn, dim=1)

    def _next(self, condition: Tensor, draw: Tensor) -> Tensor:
        places = self.places[self.clock % len(self.places)]
        self.clock += 1
        torch.index_select(self.rings, 0, places, out=self.fetched)
        torch.baddbmm(condition, self.fetched, self.earlier, out=self.sums)
        torch.index_select(self.embed, 0, self.previous, out=self.inputs[0])
        for layer, (sums, gate, mask, x, present, gated) in enumerate(self.gates):
            sums.addmm_(x, present).tanh_()
            torch.addcmul(gate, gate, mask, out=gated)
            if layer < len(self.ways_on):
                x, with_one, residual, following = self.ways_on[layer]
                torch.addmm(x, with_one, residual, out=following)
        self.rings.index_copy_(0, places, self.inputs)
        out = torch.mm(self.gated.flatten(1), self.skip).relu_()
        out = torch.addmm(self.mix_bias, out, self.mix).relu_()
        self.previous = pick(torch.addmm(self.leave_bias, out, self.leave), draw)
        return self.previous


def pick(logits: Tensor, draw: Tensor) -> Tensor:
    """Classes (B,) of logits (B, CLASSES): where the cumulative distribution reaches the draw (1,), from 0 to 1."""
    reached = logits.softmax(1).cumsum(1)
    return torch.searchsorted(reached, draw.expand(len(reached), 1)).clamp_(max=CLASSES - 1)[:, 0]


def generate(network: Network, features: Tensor, hop_length: int, draws: Tensor) -> Tensor:
    """Classes (B, T * hop) generated from features (B, F, T), normalised; the other arguments as of :func:`advance`."""
    return advance(network, features, hop_length, draws, first_state(network, len(features)))[0]


def first_state(network: Network, rows: int) -> State:
    """The state before the first sample.

    ``rings`` (B, sum of dilations, width) has the layers' earlier inputs, ``previous`` (B,) the class of the sample
    before, ``clock`` (B,) how many samples there were, the same in each row, ``frames`` (B, F, up to BEHIND) the
    normalised features before.
    """
    layers: list[Layer] = list(network.layers)  # type: ignore[arg-type]
    ring, width = sum(layer.dilation for layer in layers), network.embed.embedding_dim
    channels = network.frames[0].in_channels
    return {
        "rings": torch.zeros(rows, ring, width, dtype=torch.float64),
        "previous": torch.full((rows,), SILENCE),
        "clock": torch.zeros(rows, dtype=torch.long),
        "frames": torch.zeros(rows, int(channels), 0, dtype=torch.float64),  # type: ignore[arg-type]
    }


def advance(
    network: Network, features: Tensor, hop_length: int, draws: Tensor, state: State, ahead: int = 0
) -> tuple[Tensor, State]:
    """Classes (B, (T - ahead) * hop) of the samples that follow the state, and the state after them.

    Args:
        network: on the CPU, in double precision.
        features: (B, F, T), normalised.
        hop_length: samples a frame.
        draws: ((T - ahead) * hop,) from 0 to 1.
        state: of :func:`first_state`, or of the frames before.
        ahead: frames at the end that are only seen.
    """
    known, frames = state["frames"].shape[-1], features.shape[-1] - ahead
    features = torch.cat([state["frames"], features], -1)
    # With a neighbour on either side to draw lines to; the ends of the utterance repeat themselves.
    conditions = F.pad(network.of_frames(features), (1, 1), mode="replicate")[..., known : known + frames + 2]
    generation, generated = CachedGeneration(network, state), []
    for start in range(0, frames, CHUNK_FRAMES):
        some = conditions[..., start : start + CHUNK_FRAMES + 2]
        count = (some.shape[-1] - 2) * hop_length
        of_samples = to_samples(some, some.shape[-1] * hop_length)[..., hop_length : hop_length + count]
        begin = start * hop_length
        with _one_thread():
            generated.append(generation.next_classes(of_samples, draws[begin : begin + count]))
    seen = features[..., : known + frames][..., -BEHIND:]
    return torch.cat(generated, dim=1), {**generation.state(), "frames": seen}


def generate_naively(network: Network, features: Tensor, hop_length: int, draws: Tensor) -> Tensor:
    """As :func:`generate`, by running the network on a whole receptive field for every sample: what to be faster than.

    Stops after as many samples as there are draws.
    """
    conditions = to_samples(network.of_frames(features), features.shape[-1] * hop_length)
    generated = torch.empty(len(features), 0, dtype=torch.long)
    for index in range(len(draws)):
        begin = max(index + 1 - network.receptive_field, 0)
        # One more at the end, for the sample that is to come, and one before the field, which only shifting needs.
        known = F.pad(generated, (1, 1), value=SILENCE)[:, begin : index + 2]
        logits = network(before(known)[:, 1:], conditions[..., begin : index + 1])
        generated = torch.cat([generated, pick(logits[..., -1], draws[index : index + 1])[:, None]], dim=1)
    return generated


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices of one row are multiplied before a second thread has woken up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_double(network: Network) -> Network:
    """A copy on the CPU in double precision, without gradients."""
    return copy.deepcopy(network).cpu().double().requires_grad_(False)


def _matrix(layer: torch.nn.Conv1d) -> Tensor:
    return layer.weight.double()[:, :, 0].T.contiguous()


def _with_bias(layer: torch.nn.Conv1d) -> Tensor:
    """The weight of a convolution of one tap, halved, and its bias as the last row."""
    return torch.cat([_matrix(layer) / 2, _bias(layer)[None]])


def _bias(layer: torch.nn.Conv1d) -> Tensor:
    assert layer.bias is not None, "the network has biases"
    return layer.bias.double()
