"""The DataModule: batches of crops of recordings, for the Trainer."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray

from lightning_voiceclone.audio.folders import passed_over
from lightning_voiceclone.core.interfaces import Corpus
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.schedule import Schedule, Scheduled
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.audio_store import AudioStore, FileStore
from lightning_voiceclone.data.corpora import LibriSpeech
from lightning_voiceclone.data.manifest import SPLITS, Manifest, check_unchanged
from lightning_voiceclone.data.poisson import SpeakerSampler, UnitSampling, collate_units
from lightning_voiceclone.data.prepare import MANIFEST_NAME, REJECTED_NAME, prepare
from lightning_voiceclone.data.sampling import Growth, ResumableLoader, SegmentSampler
from lightning_voiceclone.data.segments import Grid, Recordings, SegmentDataset, collate
from lightning_voiceclone.data.shards import AGAIN, INDEX_NAME, SHARDS_NAME, ShardStore
from lightning_voiceclone.data.stored_features import cached_features
from lightning_voiceclone.data.utterances import Utterance, Utterances
from lightning_voiceclone.errors import ConfigurationError, check_range
from lightning_voiceclone.utils.files import unwritable_above
from lightning_voiceclone.utils.lightning_internals import batches_done, distributes_samplers

logger = logging.getLogger(__name__)
DEFAULT_CORPORA = "~/corpora"
DEFAULT_CACHE = "~/.cache/lightning-voiceclone"
RANGES = {
    "segment_seconds": (1e-6, 600), "reference_seconds": (1e-6, 600), "batch_size": (1, 100_000),
    "reference_elsewhere": (0, 1), "validation": (0, 1e9), "test": (0, 1e9), "seed": (0, 2**63 - 1),
    "speaker_seconds": (1e-6, 1e9), "clean_db": (-1000, 1000), "workers": (0, 256), "cache_megabytes": (0, 1e9),
}  # fmt: skip
NULL = {"validation": "the corpus's own", "test": "the corpus's own", "speaker_seconds": "all", "clean_db": "all alike"}
PREPARE_WAIT_SECONDS = 3600.0  # for another run that prepares the same corpus


class VoiceDataModule(pl.LightningDataModule):
    """Crops of recordings, from a corpus's own tree or from a manifest that ``lvc prepare`` wrote.

    Args:
        corpus: how the tree under ``root`` is laid out.
        root: of the corpus; by default ``$LVC_CORPORA/NAME`` or, where that is not set, ``~/corpora/NAME``, with the
            corpus's class name. A folder that ``lvc prepare --shards`` wrote is taken as ``manifest``.
        manifest: folder that ``lvc prepare`` wrote; corpus, root and splits are ignored then. Samples are read from its
            shards, where it has any.
        segment_seconds: length of a crop; at least one frame. A number, or values by the number of the training batch,
            such as ``{steps: {0: 0.64, 2000: 1.28}}``; validation takes the greatest.
        reference_seconds: length of the reference crop, which gives the speaker.
        reference_elsewhere: probability that the reference is from another recording than the crop, where the speaker
            has one; else it is from the same recording, without overlap.
        batch_size: crops a step, in each process.
        validation: number of speakers (or utterances, see ``split_by``) held out for validation, or their share if
            below 1; null for what the corpus declares, or 0.05 where it declares nothing; 0 for none.
        test: likewise for ``lvc test``.
        split_by: speaker or utterance; null for speaker where there are two or more.
        speakers: use these speakers only; null for all.
        speeds: factors of tempo and pitch; each adds a copy of every training recording, resampled by it, as a new
            speaker: 0.87 sounds like a taller one, 1.15 like a shorter one.
        speaker_seconds: maximum seconds of one speaker in an epoch, drawn anew in each, so that speakers with hours of
            recordings do not outweigh the others; null for all.
        share: share of the training recordings that crops are drawn from, speaker by speaker in a random order; a
            number, or values by the number of the batch, so that a training begins with few speakers.
        clean_db: signal-to-noise ratio from which on recordings are drawn in proportion to their length; one that is
            10 dB noisier is drawn half as often, and so on; null for all alike.
        seed: random seed of the splits, the order and the crops.
        workers: processes that read recordings; 0 reads in the training process, which is best while all recordings
            fit into memory.
        cache_megabytes: memory that caches decoded recordings, for each split, in each process that reads.
        cached_features: use the features that ``lvc prepare --features`` stored in the manifest's folder.
    """

    def __init__(
        self,
        corpus: Callable[[str], Corpus] = LibriSpeech,
        root: str | None = None,
        manifest: str | None = None,
        segment_seconds: Scheduled = 1.28,
        reference_seconds: float = 2.0,
        reference_elsewhere: float = 0.5,
        batch_size: int = 16,
        validation: float | None = 0.05,
        test: float | None = None,
        split_by: str | None = None,
        speakers: list[str | int] | None = None,
        speeds: list[float] | None = None,
        speaker_seconds: float | None = None,
        share: Scheduled = 1.0,
        clean_db: float | None = None,
        seed: int = 0,
        workers: int = 0,
        cache_megabytes: float = 1024,
        cached_features: bool = False,
    ) -> None:
        super().__init__()
        given = {"reference_seconds": reference_seconds, "batch_size": batch_size,
                 "reference_elsewhere": reference_elsewhere, "validation": validation, "test": test, "seed": seed,
                 "speaker_seconds": speaker_seconds, "clean_db": clean_db, "workers": workers,
                 "cache_megabytes": cache_megabytes}  # fmt: skip
        for name, value in given.items():
            check_range(f"data.{name}", value, *RANGES[name], unset=NULL.get(name, ""))
        self.corpus = corpus
        self.root = root
        packed = root is not None and (Path(root).expanduser() / SHARDS_NAME / INDEX_NAME).is_file()
        self.manifest_folder = root if manifest is None and packed else manifest
        self.segments = Schedule.of("data.segment_seconds", segment_seconds, *RANGES["segment_seconds"])
        self.share = Schedule.of("data.share", share, 1e-6, 1)
        self.reference_seconds = reference_seconds
        self.reference_elsewhere = reference_elsewhere
        self.batch_size = batch_size
        self.shares: dict[str, Any] = {"validation": validation, "test": test, "split_by": split_by}
        self.speakers = None if speakers is None else [str(speaker) for speaker in speakers]
        self.speeds = speeds or []
        self.speaker_seconds = speaker_seconds
        self.clean_db = clean_db
        if bad := [speed for speed in self.speeds if not 0.5 <= speed <= 2]:
            raise ConfigurationError(f"data.speeds has {bad[0]}; each must be from 0.5 to 2, as 0.87 or 1.15")
        if self.speeds and cached_features:
            raise ConfigurationError(
                "data.speeds changes the recordings, but data.cached_features would use their features unchanged; set"
                " one of the two aside"
            )
        self.seed = seed
        self._position: dict[str, int] | None = None
        self.workers = workers
        self.cache_megabytes = cache_megabytes
        self.cached_features = cached_features
        if cached_features and self.manifest_folder is None:
            raise ConfigurationError(
                "data.cached_features needs data.manifest, the folder in which lvc prepare --features stored them"
            )

    # Finding the recordings ------------------------------------------------------------------------------------------

    def _made_corpus(self) -> Corpus:
        if self.root is not None:
            return self.corpus(str(Path(self.root).expanduser()))
        base = _from_environment("LVC_CORPORA", DEFAULT_CORPORA)
        return self.corpus(str(base / _class_name(self.corpus)))

    def _folder(self, corpus: Corpus) -> Path:
        """Cache folder of the manifest for this corpus and these settings."""
        settings = json.dumps([describe(corpus), str(Path(corpus.root).resolve()), self.shares, self.seed])
        key = hashlib.sha256(settings.encode()).hexdigest()[:12]
        return cache_folder() / "prepared" / f"{type(corpus).__name__}-{key}"

    def prepare_data(self) -> None:
        """Check the recordings and write the manifest; later calls process only new and changed ones.

        Raises:
            ConfigurationError: if the corpus is not found; names the remedy.
        """
        if self.manifest_folder is not None:
            return
        corpus = self._made_corpus()
        folder = self._folder(corpus)
        if (above := unwritable_above(folder)) is not None:
            raise ConfigurationError(
                f"the list of the corpus's recordings cannot be kept in {folder}: {above} is no folder that you may"
                " write to; set LVC_CACHE to one, or name a manifest of lvc prepare with --data.manifest"
            )
        summary = prepare(
            corpus,
            folder,
            validation=self.shares["validation"],
            test=self.shares["test"],
            split_by=self.shares["split_by"],
            seed=self.seed,
            wait_seconds=PREPARE_WAIT_SECONDS,
        )
        if summary.rejected:
            logger.warning("%d recordings rejected; %s lists them", summary.rejected, folder / REJECTED_NAME)
        if summary.passed_over:
            logger.warning("%s", passed_over(summary.passed_over))

    def setup(self, stage: str) -> None:
        """Read the manifest and build the datasets of the splits, on the frame grid of the module's features.

        Raises:
            ConfigurationError: if a speaker in ``speakers`` does not exist, or no recording is left.
        """
        assert self.trainer is not None
        if self.trainer.world_size > 1 and distributes_samplers(self.trainer):
            raise ConfigurationError(
                "trainer.use_distributed_sampler is true, but recordings are shared out among the processes already;"
                " set it to false"
            )
        module: Any = self.trainer.lightning_module
        spec: AudioSpec = module.spec
        rate = spec.frame_rate
        self.grid = Grid(
            spec,
            segment=self._frames(self.segments.greatest, rate),
            reference=max(round(self.reference_seconds * rate), 1) if module.needs_reference else 0,
            margin=module.margin,
        )
        self.growth = Growth(
            None if self.segments.constant else lambda batch: self._frames(self.segments.at(batch), rate),
            None if self.share.constant and self.share.greatest == 1 else self.share.at,
        )
        stored = cached_features(self._prepared, module.feature_extractor) if self.cached_features else None
        found, store = self._found()
        self.datasets = {name: self._dataset(name, found, store, stored) for name in SPLITS}
        if module.needs_transcripts and stage == "fit":
            self._check_transcripts()

    @staticmethod
    def _frames(seconds: float, rate: float) -> int:
        return max(round(seconds * rate), 1)

    def _check_transcripts(self) -> None:
        found = Utterances.of(self.datasets["train"].recordings.utterances)
        transcribed = found.transcribed
        if (self.grid.all_frames(found)[transcribed] <= self.grid.segment).any():
            return
        shortest = found.seconds[transcribed].min() if transcribed.any() else None
        raise ConfigurationError(
            "training learns from transcripts, but no training recording has one; name a corpus that has them"
            if shortest is None
            else f"training learns from transcripts of whole recordings, but data.segment_seconds is"
            f" {self.segments.greatest:g} and the shortest recording with a transcript has {shortest:.2f} s; raise it"
        )

    @property
    def _prepared(self) -> Path:
        """Folder of the manifest."""
        return Path(self.manifest_folder).expanduser() if self.manifest_folder else self._folder(self._made_corpus())

    def _found(self) -> tuple[Sequence[Utterance], AudioStore]:
        """All utterances, and the store of their samples."""
        path = self._prepared / MANIFEST_NAME
        manifest = Manifest.read(path)
        if (self._prepared / SHARDS_NAME / INDEX_NAME).is_file():
            return _in_shards(Utterances.of(manifest.utterances), self._prepared / SHARDS_NAME)
        check_unchanged(manifest, written := path.stat().st_mtime)
        return manifest.utterances, FileStore(manifest.root, manifest.mixdowns, written)

    def _dataset(
        self,
        split: str,
        found: Sequence[Utterance],
        store: AudioStore,
        stored: Callable[[Utterance], Any] | None,
    ) -> SegmentDataset:
        utterances = Utterances.of(found).of_split(split)
        if self.speakers is not None:
            known = set(Utterances.of(found).speakers)
            if missing := [name for name in self.speakers if name not in known]:
                raise ConfigurationError(
                    f"data.speakers names {', '.join(missing)}, which the manifest does not have;"
                    f" it has {', '.join(sorted(known)[:10])}{', …' if len(known) > 10 else ''} (put numbers that begin"
                    " with 0 in quotes)"
                )
            utterances = utterances.of_speakers(self.speakers)
        if split == "train" and self.speeds:
            utterances = utterances.also_played(self.speeds)
        recordings = Recordings(utterances, store, self.grid.spec.sample_rate, self.cache_megabytes)
        return SegmentDataset(recordings, self.grid, stored, self.reference_elsewhere)

    # Loaders ---------------------------------------------------------------------------------------------------------

    def private_speakers(self) -> int:
        """Number of the training speakers, for a training that draws each with one probability.

        Raises:
            ConfigurationError: if a setting would draw some more often than others.
        """
        uneven = {"speaker_seconds": self.speaker_seconds is not None, "clean_db": self.clean_db is not None}
        if name := next((name for name, is_set in uneven.items() if is_set), None):
            raise ConfigurationError(
                f"data.{name} is set, but with model.steps.privacy each speaker is drawn with one probability; set it"
                " to null"
            )
        if self.growth.share is not None:
            raise ConfigurationError(
                f"data.share is {self.share}, but with model.steps.privacy each speaker is drawn with one probability;"
                " set it to 1"
            )
        return len(Utterances.of(self.datasets["train"].recordings.utterances).speakers)

    def _private_loader(self, sampling: UnitSampling) -> ResumableLoader:
        """Crops of speakers that are drawn by chance, each speaker's a batch of its own."""
        utterances = Utterances.of(self.datasets["train"].recordings.utterances)
        sampler = SpeakerSampler(self._segments(utterances), utterances.people, sampling, self.batch_size, self.growth)
        return self._made_loader("train", sampler, collate_units)

    def _loader(self, split: str, *, drawn: bool) -> ResumableLoader:
        assert self.trainer is not None
        utterances = Utterances.of(self.datasets[split].recordings.utterances)
        if not len(utterances):
            raise ConfigurationError(
                f"no recording is in the split {split!r}: name a corpus or manifest that has one (LibriSpeech's test-*"
                f" subsets are test), or set data.{split} above 0 before training"
            )
        sampler = SegmentSampler(
            self._segments(utterances),
            self.batch_size,
            self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            segment=None if drawn else self.grid.segment,
            speakers=utterances.voices,
            most=self._most() if drawn else None,
            shares=self._shares(utterances) if drawn else (),
            growth=self.growth if drawn else Growth(),
        )
        return self._made_loader(split, sampler, collate)

    def _segments(self, utterances: Utterances) -> NDArray[np.int64]:
        """Number (N,) of segments of each utterance, 1 at least."""
        return np.maximum(self.grid.all_frames(utterances) // self.grid.segment, 1)

    def _made_loader(self, split: str, sampler: SegmentSampler, collate_with: Callable[..., Any]) -> ResumableLoader:
        return ResumableLoader(
            self.datasets[split],
            batch_sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=partial(collate_with, margin=self.grid.margin),
            pin_memory=torch.cuda.is_available(),
            progress=self._progress,
        )

    def _most(self) -> int | None:
        """Maximum number of segments of one speaker in an epoch."""
        if self.speaker_seconds is None:
            return None
        return max(round(self.speaker_seconds * self.grid.spec.frame_rate / self.grid.segment), 1)

    def _shares(self, utterances: Utterances) -> list[float]:
        """Sampling weight of each utterance by its signal-to-noise ratio, at most 1."""
        if self.clean_db is None:
            return []
        return [2 ** min((ratio - self.clean_db) / 10, 0.0) for ratio in utterances.numbers("snr_db").tolist()]

    def _progress(self) -> tuple[int, float]:
        """Finished batches of the epoch, and its total under the Trainer's limit."""
        assert self.trainer is not None
        return batches_done(self.trainer), self.trainer.num_training_batches

    def train_dataloader(self) -> ResumableLoader:
        """Crops drawn anew in every epoch."""
        module: Any = self.trainer.lightning_module if self.trainer is not None else None
        private = getattr(module, "private", None)
        loader = self._loader("train", drawn=True) if private is None else self._private_loader(private.sampling)
        if self._position is not None:
            loader.load_state_dict(self._position)
            self._position = None
        return loader

    def resume_at(self, position: dict[str, int]) -> None:
        """Let the next training loader begin where another one was (its ``state_dict``)."""
        self._position = position

    def val_dataloader(self) -> ResumableLoader | list[Any]:
        """Crops on a fixed grid of the recordings kept for validation; none if there are none."""
        return self._loader("validation", drawn=False) if len(self.datasets["validation"]) else []

    def test_dataloader(self) -> ResumableLoader:
        """As validation, of the test split."""
        return self._loader("test", drawn=False)

    def predict_dataloader(self) -> ResumableLoader:
        """The test split, or the validation split where there is none."""
        return self._loader("test" if len(self.datasets["test"]) else "validation", drawn=False)

    def of_speaker(self, speaker: str, most: int) -> Iterator[torch.Tensor]:
        """Up to so many recordings (N,) of a speaker that crops hold whole, the same in every process."""
        for dataset in self.datasets.values():
            recordings, rows = dataset.recordings, dataset.of_speaker(speaker)
            frames = self.grid.all_frames(Utterances.of(recordings.utterances))
            rows = rows[frames[rows] <= self.grid.segment]
            for index in np.random.default_rng(self.seed).permutation(rows)[:most].tolist():
                yield torch.from_numpy(recordings.read(index)[: int(frames[index]) * self.grid.spec.hop_length])
            if len(rows):
                return

    @property
    def styles(self) -> list[str]:
        """Distinct styles of the recordings of all splits, sorted; without the empty one."""
        found = [Utterances.of(dataset.recordings.utterances).styles for dataset in self.datasets.values()]
        return sorted({style for styles in found for style in styles})

    def calibration_audio(self, seconds: float) -> Iterator[torch.Tensor]:
        """Whole training recordings (N,), the same in every process, up to so many seconds together."""
        recordings = self.datasets["train"].recordings
        left = seconds * recordings.sample_rate
        for index in np.random.default_rng(self.seed).permutation(len(recordings.utterances)):
            if left <= 0:
                return
            audio = torch.from_numpy(recordings.read(int(index)))
            left -= len(audio)
            yield audio


def _in_shards(utterances: Utterances, folder: Path) -> tuple[Utterances, ShardStore]:
    """Utterances whose samples are there, with a warning of what is missing, and the store.

    Raises:
        ConfigurationError: if none is left.
    """
    store = ShardStore(folder)
    for fault in store.faults:
        logger.warning("%s", fault)
    packed = store.have(utterances.texts("path"))
    if packed.all():
        return utterances, store
    there = utterances.where(packed)
    if not len(there):
        raise ConfigurationError(f"no shard of {folder} is whole; {AGAIN}")
    if not store.faults:  # an interruption between the writing of the index and of the manifest
        lost = next(path for path, found in zip(utterances.texts("path"), packed, strict=True) if not found)
        logger.warning("%d utterances, the first of %s, are in no shard of %s and are left out: %s",
                       (~packed).sum(), lost, folder, AGAIN)  # fmt: skip
    return there, store


def cache_folder() -> Path:
    """Folder for what can be computed again: ``$LVC_CACHE``, or ``~/.cache/lightning-voiceclone``."""
    return _from_environment("LVC_CACHE", DEFAULT_CACHE)


def _from_environment(variable: str, default: str) -> Path:
    """A folder from an environment variable, or the default one in the user's home folder.

    Raises:
        ConfigurationError: if the user has no home folder; names the variable.
    """
    try:
        return Path(os.environ.get(variable) or default).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"you have no home folder, where {default} would be: set {variable}") from error


def _class_name(corpus: Any) -> str:
    """Name of a corpus class, or of the class in a partial or a factory from YAML."""
    candidates = [corpus, getattr(corpus, "func", None), *getattr(corpus, "args", ())]
    return next((candidate.__name__ for candidate in candidates if isinstance(candidate, type)), "corpus")
