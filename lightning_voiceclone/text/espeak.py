"""Speech and phonemes from text by espeak-ng, through the package ``espeakng-loader``, which carries the library.

espeak-ng is GPL-3.0: the library is loaded only for the demonstration's corpus, for texts in other languages than
English, and to measure the aligner.
"""

import ctypes
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone.errors import LVCError, nearest

# From espeak-ng's speak_lib.h.
AUDIO_OUTPUT_RETRIEVAL = 1
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA, INITIALIZE_DONT_EXIT = 0x0001, 0x0002, 0x8000
EVENT_LIST_TERMINATED, EVENT_PHONEME = 0, 7
POSITION_CHARACTER = 1
CHARS_UTF8 = 1
PHONEMES_IPA = 2
RATE, PITCH = 1, 3
BUFFER_MILLISECONDS = 500


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; ``name`` is the text of a phoneme, without a zero if it has 8 bytes."""

    _fields_ = [("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("position", ctypes.c_int),
                ("length", ctypes.c_int), ("milliseconds", ctypes.c_int), ("sample", ctypes.c_int),
                ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8)]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """One synthesiser with a copy of the library of its own.

    espeak-ng keeps its state (flutter, noise, phase) in global variables, which no call resets, so that a sentence
    sounds slightly different after another. A copy of the library begins afresh: the same calls in the same order
    give the same samples, whatever else the process has said. Calls are serialised, for it is not re-entrant.

    Raises:
        LVCError: if the package is missing or its library does not start.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise LVCError(
                "espeak-ng needs the package espeakng-loader, which is not installed;"
                ' pip install "lightning-voiceclone[espeak]"'
            ) from error
        data = Path(espeakng_loader.get_data_path())
        library = Path(espeakng_loader.get_library_path())
        folder = Path(tempfile.mkdtemp(prefix="espeak-"))
        self._tidy = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._variants = data / "voices" / "!v"
        self._lock = threading.Lock()
        self._chunks: list[np.ndarray] = []
        self._events: list[tuple[float, str]] = []
        self._callback = _CALLBACK(self._receive)  # kept, or it would be freed while the library still calls it
        # espeak-ng cuts the path of its data off after 160 characters, hence the link of a short name.
        home = _linked(data, folder / "data")
        copy = Path(shutil.copy(library, folder / library.name))
        try:
            self._library = ctypes.CDLL(str(copy))
            self.sample_rate = self._library.espeak_Initialize(
                AUDIO_OUTPUT_RETRIEVAL,
                BUFFER_MILLISECONDS,
                str(home).encode(),
                INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA | INITIALIZE_DONT_EXIT,
            )
        except OSError as error:
            raise LVCError(f"espeak-ng at {library} does not load: {error}; reinstall espeakng-loader") from error
        if self.sample_rate <= 0:
            raise LVCError(f"espeak-ng does not find its data at {data}; reinstall espeakng-loader")
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(
        self, text: str, voice: str = "en-us", variant: str = "", pitch: int = 50, rate: int = 170
    ) -> tuple[np.ndarray, int]:
        """Say a text.

        Args:
            text: what to say.
            voice: language and accent, such as ``en-us`` or ``en-gb-x-rp``.
            variant: timbre, such as ``f2`` or ``m3``; empty for the voice's own.
            pitch: 0 to 99; 50 is the variant's own.
            rate: words a minute, 80 to 450.

        Returns:
            Audio (N,), float32 in [-1, 1], and its sample rate in Hz.

        Raises:
            LVCError: if the voice or the variant does not exist, or nothing is said.
        """
        if variant and not (self._variants / variant).is_file():  # espeak-ng itself would ignore the variant
            raise LVCError(
                f"espeak-ng has no variant {variant!r}{nearest(variant, self.variants())};"
                f" it has {', '.join(self.variants())}"
            )
        with self._lock:
            self._chunks.clear()
            self._events.clear()
            name = f"{voice}+{variant}" if variant else voice
            if self._library.espeak_SetVoiceByName(name.encode()) != 0:
                raise LVCError(f"espeak-ng has no voice {voice!r}; try en-us, en-gb-x-rp or en-gb-scotland")
            self._library.espeak_SetParameter(RATE, rate, 0)
            self._library.espeak_SetParameter(PITCH, pitch, 0)
            data = text.encode() + b"\0"
            failed = self._library.espeak_Synth(
                data, ctypes.c_size_t(len(data)), 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None
            )
            failed = failed or self._library.espeak_Synchronize()
            samples = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)
        if failed or not samples.any():
            raise LVCError(f"espeak-ng said nothing for the text {text!r} (status {failed}); give it some words")
        return samples.astype(np.float32) / 32768, self.sample_rate

    def timed(self, text: str, **options: Any) -> tuple[np.ndarray, int, list[tuple[float, str]]]:
        """As :meth:`speak`, with the second at which each phoneme begins, and its symbols of IPA; empty for a pause."""
        audio, rate = self.speak(text, **options)
        return audio, rate, list(self._events)

    def phonemes(self, text: str, language: str) -> str:
        """A text in IPA, its words separated by blanks, its clauses by line breaks.

        Args:
            text: to be spoken.
            language: as espeak-ng names it, such as de or fr.

        Raises:
            LVCError: if there is no such language.
        """
        with self._lock:
            if self._library.espeak_SetVoiceByName(language.encode()) != 0:
                raise LVCError(f"espeak-ng has no language {language!r}; try de, fr, es, it, nl, pl, ru or ja")
            self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
            buffer = ctypes.create_string_buffer(text.encode() + b"\0")
            place = ctypes.c_void_p(ctypes.addressof(buffer))
            clauses = []
            while place.value:
                said = self._library.espeak_TextToPhonemes(ctypes.byref(place), CHARS_UTF8, PHONEMES_IPA)
                clauses.append((said or b"").decode())
        return "\n".join(clause.strip() for clause in clauses if clause.strip())

    def variants(self) -> list[str]:
        """Names of the timbres that there are."""
        return sorted(path.name for path in self._variants.iterdir())

    def _receive(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        at = 0
        while events and events[at].type != EVENT_LIST_TERMINATED:
            if events[at].type == EVENT_PHONEME:
                self._events.append((events[at].milliseconds / 1000, events[at].name.decode("utf-8", "replace")))
            at += 1
        return 0


def speak(
    text: str, voice: str = "en-us", variant: str = "", pitch: int = 50, rate: int = 170
) -> tuple[np.ndarray, int]:
    """Say one text with a fresh synthesiser: the same samples every time. See :meth:`Espeak.speak`."""
    return Espeak().speak(text, voice, variant, pitch, rate)


def _linked(folder: Path, link: Path) -> Path:
    """``link``, leading to ``folder`` under a short name, or a copy where links are not allowed (Windows)."""
    try:
        link.symlink_to(folder, target_is_directory=True)
    except OSError:
        shutil.copytree(folder, link)
    return link
