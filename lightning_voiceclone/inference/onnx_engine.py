"""``--engine onnx``: recordings read and written as always, converted by lvc-runtime. Imports no torch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_voiceclone.audio.io import check_writable, read_with_notes, write_audio
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.files import check_no_input
from lightning_voiceclone.utils.locked_output import locked_output
from lightning_voiceclone.utils.optional import need


class OnnxModel:
    """An exported model, whose failures are errors of the toolkit, and whose recordings are read by it.

    Args:
        folder: of ``lvc export``.
        note: called with one line for each thing that was done to a recording.
        threads: to compute with; None for as many as there are cores.

    Raises:
        PluginError: if lvc-runtime is not installed.
        LVCError: if the folder is no export or was altered.
    """

    def __init__(self, folder: str, *, note: Callable[[str], None], threads: int | None = None) -> None:
        self._library, self._note = need("lvc_runtime", "onnx"), note
        if not (Path(folder) / "export.json").is_file():
            raise ConfigurationError(
                f"{folder} is no export; make one: lvc export {folder} --output FOLDER, and name that folder by"
                " --checkpoint"
            )
        with self.explained():
            self.runtime = self._library.load(folder, threads=threads, note=note)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise lvc-runtime's failures as errors of the toolkit."""
        try:
            yield
        except self._library.RuntimeFailure as error:
            raise LVCError(str(error)) from error

    def speaker(self, *paths: str) -> Any:
        """Analyse recordings of one speaker, or read a ``.voice`` file; None without any.

        Raises:
            LVCError: if one cannot be used.
        """
        with self.explained():
            return self.runtime.speaker([self._read(path) for path in paths]) if paths else None

    def convert(self, source: str, speaker: Any = None, **options: Any) -> Any:
        """Samples (N,) of a recording in the speaker's voice; options: pitch_shift, speed and guidance.

        Raises:
            LVCError: if it cannot be used, there is no speaker, or an option is out of range.
        """
        with self.explained():
            return self.runtime.convert(self._read(source), speaker, self._library.Options(**options))

    def stream(self, speaker: Any = None, **options: Any) -> Any:
        """A stream of lvc-runtime; as of :meth:`convert`.

        Raises:
            LVCError: likewise, or if a part needs the whole recording.
        """
        with self.explained():
            return self.runtime.stream(speaker, self._library.Options(**options))

    def _read(self, path: str) -> object:
        if Path(path).suffix == self._library.speaker.SUFFIX:
            return path
        samples, rate, notes = read_with_notes(path, self.runtime.sample_rate)
        for line in notes:
            self._note(line)
        return samples, rate


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
        folder: as of :class:`OnnxModel`.
        source: path of a recording; "-" for standard input.
        references: recordings of the target speaker, or one ``.voice`` file; none for an adapted model.
        output: path that ends in .wav or .flac.
        note: as of :class:`OnnxModel`.
        pitch_shift: as of ``RenderOptions``.
        speed: likewise.
        guidance: likewise.

    Raises:
        PluginError: if lvc-runtime is not installed.
        LVCError: if the folder is no export or was altered, a recording cannot be used, or another process writes
            the output.
    """
    model = OnnxModel(folder, note=note)
    check_writable(output)
    check_no_input(output, [source, *references, folder])
    rate = int(model.runtime.sample_rate)
    with locked_output(Path(output)):
        samples = model.convert(source, model.speaker(*references), pitch_shift=pitch_shift, speed=speed,
                                guidance=guidance)  # fmt: skip
        write_audio(output, samples, rate)
    return len(samples) / rate, rate
