"""A corpus: where the recordings are, and who speaks in them."""

from collections.abc import Iterator
from pathlib import Path

from lightning_voiceclone.core.interfaces import Corpus, Recording
from lightning_voiceclone.errors import ConfigurationError


class ExampleCorpus(Corpus):
    """One folder of files that are called SPEAKER_NUMBER.wav.

    Args:
        root: the folder.
    """

    def __init__(self, root: str | Path) -> None:
        super().__init__()
        self.root = Path(root)

    def recordings(self) -> Iterator[Recording]:
        """Recordings by name."""
        found = sorted(self.root.glob("*_*.wav"))
        if not found:
            raise ConfigurationError(f"{self.root} has no file SPEAKER_NUMBER.wav; name the folder that holds them")
        for path in found:
            yield Recording(path.name, path.stem.rpartition("_")[0])
