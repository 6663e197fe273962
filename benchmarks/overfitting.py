"""Each generator overfits one batch of real speech: the reconstruction must halve within 200 steps.

    python benchmarks/overfitting.py --config recipes/librispeech.yaml --data.root ../shared/speech/LibriSpeech

One batch of the recipe's own size, with the recipe's encoders (untrained, and left so), Adam with a rate of 1e-3. A
line for each generator as soon as it has finished; ends non-zero unless every one has halved its error.
"""

import sys
import time

import torch
from recipe import first_batch, made

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.testing.overfitting import overfit

STEPS = 200
LINE = "{:22} {:>10} {:>11} {:>10} {:>5} {:>12} {:>7}"


def main() -> None:
    torch.manual_seed(0)
    module, data = made(sys.argv[1:])
    voice = module.voice
    batch = first_batch(data)
    with torch.no_grad():
        source = voice.analyze(batch.audio, batch.lengths, margin=batch.margin)
        prompt = voice.prompt_from_analysis(voice.analyze(batch.reference, batch.reference_lengths, prosody=False))
        condition = voice.condition(voice.script_from_analysis(source), prompt)
    dims = Dims(voice.spec.channels, voice.content_encoder.channels, voice.speaker_encoder.channels,
                pitch=True, energy=True, frame_rate=voice.spec.frame_rate)  # fmt: skip
    print(f"a batch of {len(source.features)} x {source.features.shape[-1]} frames of speech, {STEPS} steps")
    print(LINE.format("generator", "parameters", "L1 at first", "L1 at last", "ratio", "halved after", "seconds"))
    failed = []
    for plugin in registry.installed():
        if plugin.kind != "generators":
            continue
        torch.manual_seed(0)
        generator: Generator = plugin.load()(dims)
        start = time.perf_counter()
        errors = overfit(generator, source.features, condition, steps=STEPS, learning_rate=1e-3)
        halved = next((step for step, error in enumerate(errors) if error <= errors[0] / 2), None)
        if halved is None:
            failed.append(plugin.name)
        size = sum(p.numel() for p in generator.parameters()) / 1e6
        figures = [f"{size:.2f} M", f"{errors[0]:.3f}", f"{errors[-1]:.3f}", f"{errors[-1] / errors[0]:.2f}"]
        seconds = time.perf_counter() - start
        after = "never" if halved is None else f"{halved} steps"
        print(LINE.format(plugin.name, *figures, after, f"{seconds:.0f}"), flush=True)
    if failed:
        sys.exit(f"not halved within {STEPS} steps: {', '.join(failed)}")


if __name__ == "__main__":
    main()
