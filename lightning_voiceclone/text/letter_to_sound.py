"""Letters to sounds, for words that no dictionary has: a model of pairs of a letter and its phonemes.

A joint n-gram model (Bisani and Ney 2008, with a letter of its own in every pair): the best sequence of pairs that
spells the word, by beam search. ``benchmarks/letter_to_sound.py`` makes its data and prints its error.
"""

import functools
import json
import math
import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

Pair = tuple[str, tuple[str, ...]]
END, BEGIN = 0, 1  # numbers of the word's ends; pairs have the numbers after them
BEAM = 24
RANGE = 20.0  # nats that a byte spans
STEP = RANGE / 255
MASK = 0xFFFFFFFF


def _key(numbers: Iterable[int]) -> int:
    """A hash of 32 bits of the numbers of an n-gram."""
    key = 2166136261
    for number in numbers:
        key = ((key ^ number) * 16777619 + 0x9E37) & MASK
    return key


class Model:
    """N-grams with backing off.

    Args:
        symbols: the pairs, by number less 2.
        order: the most pairs of an n-gram.
        scores: by the hash of an n-gram, two bytes: the cost of its last pair after those before, and the cost of
            backing off from it, each in steps of ``STEP`` nats.
    """

    def __init__(self, symbols: Sequence[Pair], order: int, scores: Mapping[int, int]):
        self.symbols, self.order, self.scores = list(symbols), order, scores
        self._of_letter: dict[str, list[int]] = {}
        for number, (letter, _) in enumerate(self.symbols):
            self._of_letter.setdefault(letter, []).append(number + 2)

    @classmethod
    def from_counts(
        cls, symbols: Sequence[Pair], grams: Sequence[Mapping[tuple[int, ...], int]], least: int
    ) -> "Model":
        """A model by Witten and Bell's interpolation.

        Args:
            symbols: the pairs.
            grams: counts of n-grams by their length less 1.
            least: times that an n-gram of 4 or more pairs must have occurred to be kept.
        """
        scores: dict[int, int] = {}
        lower: dict[tuple[int, ...], float] = {(): 1 / (len(symbols) + 1)}
        backing: dict[tuple[int, ...], float] = {}
        for size, counts in enumerate(grams):
            totals: dict[tuple[int, ...], list[int]] = {}
            for gram, count in counts.items():
                total = totals.setdefault(gram[:-1], [0, 0])
                total[0] += count
                total[1] += 1
            backing.update({context: kinds / (count + kinds) for context, (count, kinds) in totals.items()})
            now = {}
            for gram, count in counts.items():
                spent, kinds = totals[gram[:-1]]
                below = lower[gram[1:]] if size else lower[()]
                now[gram] = (count + kinds * below) / (spent + kinds)
            lower = now
            for gram, value in now.items():
                if size < 3 or counts[gram] >= least:
                    scores[_key(gram)] = _byte(value) << 8
        for context, value in backing.items():
            if context and (len(context) < 3 or _key(context) in scores):
                scores[_key(context)] = scores.get(_key(context), 0xFF00) | _byte(value)
        return cls(symbols, len(grams), scores)

    def pack(self) -> bytes:
        """The model as bytes: a heading as JSON, sorted hashes, costs."""
        keys = sorted(self.scores)
        head = json.dumps({"order": self.order, "symbols": [[a, " ".join(b)] for a, b in self.symbols]}).encode()
        body = struct.pack("<II", len(head), len(keys)) + head
        deltas = [after - before for before, after in zip([0, *keys], keys, strict=False)]
        costs = [self.scores[key] for key in keys]
        return zlib.compress(body + b"".join(_bytes(values) for values in (deltas, costs)), 9)

    @classmethod
    def unpack(cls, data: bytes) -> "Model":
        """The inverse of :meth:`pack`."""
        data = zlib.decompress(data)
        size, count = struct.unpack_from("<II", data)
        head = json.loads(data[8 : 8 + size])
        keys, costs, at = [], array("I"), 8 + size
        deltas = _numbers(data[at : at + 4 * count])
        costs = _numbers(data[at + 4 * count :])
        total = 0
        for delta in deltas:
            total += delta
            keys.append(total)
        symbols = [(letter, tuple(phonemes.split())) for letter, phonemes in head["symbols"]]
        return cls(symbols, head["order"], dict(zip(keys, costs, strict=True)))

    def pronounce(self, word: str) -> list[str]:
        """Phonemes of a word of the letters a to z and apostrophes; a letter that the model lacks has none.

        Exactly one vowel has the primary stress, where there is a vowel.
        """
        beam: list[tuple[float, tuple[int, ...], bool, tuple[int, ...]]] = [
            (0.0, (BEGIN,) * (self.order - 1), False, ())
        ]
        for letter in word:
            grown: dict[tuple[tuple[int, ...], bool], tuple[float, tuple[int, ...]]] = {}
            for cost, context, stressed, path in beam:
                for number in self._of_letter.get(letter, ()):
                    primary = any(phoneme[-1] == "1" for phoneme in self.symbols[number - 2][1])
                    if primary and stressed:
                        continue
                    total = cost + self._cost(context, number)
                    state = ((*context[1:], number), primary or stressed)
                    if state not in grown or total < grown[state][0]:
                        grown[state] = total, (*path, number)
            ranked = sorted((cost, *state, path) for state, (cost, path) in grown.items())[:BEAM]
            beam = ranked or beam
        ended = [(cost + self._cost(context, END), stressed, path) for cost, context, stressed, path in beam]
        path = min(ended, key=lambda one: (not one[1], one[0]))[2]
        return [phoneme for number in path for phoneme in self.symbols[number - 2][1]]

    @functools.lru_cache(maxsize=200_000)  # noqa: B019 - a model lives as long as the process
    def _cost(self, context: tuple[int, ...], number: int) -> int:
        spent = 0
        while True:
            score = self.scores.get(_key((*context, number)))
            if score is not None and (score >> 8 != 255 or not context):
                return spent + (score >> 8)
            if not context:
                return spent + 255
            spent += self.scores.get(_key(context), 0) & 255
            context = context[1:]


def _byte(probability: float) -> int:
    return min(254, round(-math.log(probability) / STEP))


def _bytes(values: Iterable[int]) -> bytes:
    """Numbers of 32 bits, the least bytes of all of them first, which compresses better."""
    data = b"".join(value.to_bytes(4, "little") for value in values)
    return b"".join(data[place::4] for place in range(4))


def _numbers(data: bytes) -> array:
    """The inverse of ``_bytes``."""
    count = len(data) // 4
    joined = bytearray(len(data))
    for place in range(4):
        joined[place::4] = data[place * count : (place + 1) * count]
    values = array("I")
    values.frombytes(bytes(joined))
    if struct.pack("=I", 1) != struct.pack("<I", 1):
        values.byteswap()
    return values


@functools.lru_cache(maxsize=1)
def english() -> Model:
    """The model that ships."""
    return Model.unpack((files(__package__) / "data" / "letters.bin").read_bytes())
