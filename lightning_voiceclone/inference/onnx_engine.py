"""``lvc clone --engine onnx``: recordings read and written as always, converted by lvc-runtime. Imports no torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lightning_voiceclone.audio.io import check_writable, read_with_notes, write_audio
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.files import check_no_input
from lightning_voiceclone.utils.optional import need


def convert_file(
    folder: str,
    source: str,
    references: Sequence[str],
    output: str,
    *,
    note: Callable[[str], None],
    pitch_shift: float = 0.0,
    speed: float = 1.0,
    guidance: float | None = None,
) -> tuple[float, int]:
    """Convert a file with an exported model, without denoising; returns seconds and sample rate of the output.

    Args:
        folder: of ``lvc export``.
        source: path of a recording; "-" for standard input.
        references: recordings of the target speaker, or one ``.voice`` file; none for an adapted model.
        output: path that ends in .wav or .flac.
        note: called with one line for each thing that was done to a recording.
        pitch_shift: as of ``RenderOptions``.
        speed: likewise.
        guidance: likewise.

    Raises:
        PluginError: if lvc-runtime is not installed.
        LVCError: if the folder is no export or was altered, or a recording cannot be used.
    """
    runtime = need("lvc_runtime", "onnx")
    if not (Path(folder) / "export.json").is_file():
        raise ConfigurationError(
            f"{folder} is no export; make one: lvc export {folder} --output FOLDER, and name that folder by"
            " --checkpoint"
        )
    check_writable(output)
    check_no_input(output, [source, *references, folder])
    try:
        options = runtime.Options(pitch_shift, speed, guidance)
        model = runtime.load(folder, note=note)

        def read(path: str) -> object:
            if Path(path).suffix == runtime.speaker.SUFFIX:
                return path
            samples, rate, notes = read_with_notes(path, model.sample_rate)
            for line in notes:
                note(line)
            return samples, rate

        speaker = model.speaker([read(path) for path in references]) if references else None
        samples = model.convert(read(source), speaker, options)
    except runtime.RuntimeFailure as error:
        raise LVCError(str(error)) from error
    write_audio(output, samples, model.sample_rate)
    return len(samples) / model.sample_rate, model.sample_rate
