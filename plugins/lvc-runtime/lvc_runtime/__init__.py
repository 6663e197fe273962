"""Clone voices from a folder of ``lvc export``, by ONNX Runtime; needs numpy, soundfile and soxr beside it, no torch.

import lvc_runtime

model = lvc_runtime.load("exported")
speaker = model.speaker(["b.wav", "b2.wav"])
samples = model.convert("a.wav", speaker)
model.write("c.wav", samples)

with model.stream(speaker) as stream:
    for chunk in microphone:
        play(stream.push(chunk))
    play(stream.flush())
"""

from lvc_runtime.errors import RuntimeFailure
from lvc_runtime.runtime import Options, Runtime, Speaker, load
from lvc_runtime.stream import Stream

__version__ = "0.1.0"
__all__ = ["Options", "Runtime", "RuntimeFailure", "Speaker", "Stream", "__version__", "load"]
