"""Which extractors, generators, discriminators and vocoders meet in a model: asked of the parts, not listed.

``python tests/pairs.py > docs/combinations.md`` writes the page.
"""

import itertools
from collections.abc import Iterator
from functools import partial

from lightning_voiceclone.core import registry
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.features.prosody import Energy
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.training.checks import check_way_back

ROLES = ("feature_extractors", "generators", "discriminators", "vocoders")
SMALL = {
    "MelSpectrogram": {"n_mels": 20, "n_fft": 512}, "STFT": {"n_fft": 320}, "MFCC": {"n_mels": 40, "n_fft": 512},
    "ConvGenerator": {"width": 8, "layers": 1}, "MLPGenerator": {"hidden": 8, "layers": 2},
    "RecurrentGenerator": {"hidden": 8, "layers": 1}, "TransformerGenerator": {"width": 8, "layers": 1, "heads": 2},
    "ReferenceGenerator": {"width": 8, "layers": 1, "heads": 1, "head_width": 8, "look_up": (0,)},
    "VAEGenerator": {"width": 8, "layers": 1, "latent": 4}, "MLPDiscriminator": {"hidden": 8, "layers": 2},
    "PatchDiscriminator": {"width": 4, "layers": 1}, "MultiScaleDiscriminator": {"width": 4, "layers": 1, "scales": 1},
    "MultiPeriodDiscriminator": {"width": 2, "layers": 1, "periods": (2,)},
    "MultiResolutionSTFTDiscriminator": {"width": 2, "layers": 1, "resolutions": ((256, 64),)},
    "WaveformDiscriminator": {"periods": (3,), "resolutions": ((256, 64),), "period_width": 2, "resolution_width": 2},
    "Vocos": {"width": 8, "hidden": 8, "layers": 1, "pretrained": "none"}, "GriffinLim": {"iterations": 2},
    "StackVocoder": {"vocoder": "Vocos:pretrained=none,width=8,hidden=8,layers=1"},
}  # fmt: skip
Pair = tuple[tuple[str, str], tuple[str, str]]  # (role, name) twice, in the order of ROLES


class Parts:
    """The parts that ship, by role and name, and why two of them do not meet."""

    def __init__(self):
        plugins = [plugin for plugin in registry.installed() if plugin.package == registry.OWN]
        self.named = {role: {p.name: p.load() for p in plugins if p.kind == role} for role in ROLES}
        self.extractors = {name: self.extractor(name) for name in self.named["feature_extractors"]}
        self.refused: dict[Pair, str] = {}
        for name in self.named["vocoders"]:
            made = [self._try("feature_extractors", extractor, "vocoders", name, self._join, extractor, name)
                    for extractor in self.extractors]  # fmt: skip
            vocoder = next(filter(None, made))  # one: its claims may be those of what it is made of
            for discriminator, cls in self.named["discriminators"].items():
                self._try("discriminators", discriminator, "vocoders", name, self._reach, cls, vocoder)
        for extractor, discriminator in itertools.product(self.extractors, self.named["discriminators"]):
            reasons = [self.why(extractor, discriminator, vocoder) for vocoder in self.named["vocoders"]]
            if all(reasons):
                pair = ("feature_extractors", extractor), ("discriminators", discriminator)
                self.refused[pair] = max(reasons, key=lambda reason: "not differentiable" in reason)

    def extractor(self, name):
        """A small extractor."""
        if name == "Stack":
            return Stack([MelSpectrogram(**SMALL["MelSpectrogram"]), Energy()])
        return self.named["feature_extractors"][name](**SMALL.get(name, {}))

    def small(self, role, name):
        """What makes a small part of that name with its first argument."""
        return partial(self.named[role][name], **SMALL.get(name, {}))

    def _try(self, left_role, left, right_role, right, function, *arguments):
        try:
            return function(*arguments)
        except LVCError as error:
            self.refused[(left_role, left), (right_role, right)] = str(error)
            return None

    def _join(self, extractor, vocoder):
        return self.small("vocoders", vocoder)(self.extractors[extractor].spec)

    def _reach(self, discriminator, vocoder):
        check_way_back(object.__new__(discriminator), vocoder)

    def why(self, extractor, discriminator, vocoder):
        """Why these three do not meet; empty if they do."""
        joined = self.refused.get((("feature_extractors", extractor), ("vocoders", vocoder)), "")
        return joined or self.refused.get((("discriminators", discriminator), ("vocoders", vocoder)), "")

    def quadruples(self) -> Iterator[tuple[str, str, str, str]]:
        """Few combinations in which every pair that may meet does."""
        allowed = [(e, g, d, v) for e, g, d, v in itertools.product(*(self.named[role] for role in ROLES))
                   if not self.why(e, d, v)]  # fmt: skip
        missing = {pair for four in allowed for pair in pairs_of(four)}
        while missing:
            best = max(allowed, key=lambda four: len(missing.intersection(pairs_of(four))))
            missing.difference_update(pairs_of(best))
            yield best


def pairs_of(four: tuple[str, ...]) -> list[Pair]:
    """The pairs of a combination."""
    return [*itertools.combinations(zip(ROLES, four, strict=True), 2)]


def page(parts: Parts) -> str:
    """The page of docs."""
    reasons: dict[str, int] = {}
    lines = ["# Which parts go together", "", "Extractors, generators, discriminators and vocoders that ship."
             " `tests/pairs.py` asks the parts, and writes this page; a test trains each pair that fits for one step,"
             " converts with it, and checks that each other pair is refused with this reason. Every generator goes with"
             " every extractor, discriminator and vocoder for which the other three fit.", ""]  # fmt: skip
    for left, right in (ROLES[::3], ROLES[::2], ROLES[2:]):
        lines += [f"| | {' | '.join(parts.named[right])} |", "|---" * (len(parts.named[right]) + 1) + "|"]
        for name in parts.named[left]:
            cells = []
            for other in parts.named[right]:
                reason = parts.refused.get(((left, name), (right, other)))
                cells.append("yes" if reason is None else f"no ({reasons.setdefault(reason, len(reasons) + 1)})")
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    lines += [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(Parts()), end="")
