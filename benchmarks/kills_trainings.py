"""Small trainings of every stage, for benchmarks/kills.py: voice, vocoder, distillation, text; workers; processes."""

import os
from collections.abc import Callable
from pathlib import Path

import yaml

from lightning_voiceclone.testing.ports import free_port
from lightning_voiceclone.testing.recipes import small_recipe

CONV = "{channels: 4, width: 8, layers: 1}"
MEL = "{class_path: MelSpectrogram, init_args: {n_mels: 20}}"
CROPS = "segment_seconds: 0.4, reference_seconds: 0.4, batch_size: 2"
FOLDERS = f"{{corpus: SpeakerFolders, root: CORPUS, validation: 1, {CROPS}}}"
TABLE = "{corpus: Table, root: INPUTS/table.tsv, validation: null, segment_seconds: 2, batch_size: 2}"
TRAINER = """
trainer: {max_steps: 8, enable_progress_bar: false, enable_model_summary: false, limit_val_batches: 1}
checkpoint: {every_n_train_steps: 2}
"""
INTERVAL = 2  # steps between two checkpoints
VOICE = yaml.safe_dump({key: value for key, value in small_recipe(data={"root": "CORPUS"}).items() if key != "trainer"})
VOCODER = f"""
model:
  class_path: VocoderModule
  init_args:
    feature_extractor: {MEL}
    vocoder: {{class_path: Vocos, init_args: {{width: 8, hidden: 16, layers: 1}}}}
    discriminator: {{class_path: WaveformDiscriminator, init_args: {{periods: [2, 3], resolutions: [[256, 64]],
                     draw: 2, period_width: 2, resolution_width: 2}}}}
    augmentation: [{{class_path: RandomGain, init_args: {{low: -18, high: 6, probability: 0.5}}}}]
    weights: {{mel: 15, adversarial: 2, feature_matching: 10}}
    steps: {{warmup: 3}}
data: {FOLDERS}
"""
DISTILLATION = f"""
model:
  class_path: DistillationModule
  init_args:
    feature_extractor: {MEL}
    encoder: {{class_path: ConvContentEncoder, init_args: {CONV}}}
    teacher: {{class_path: ConvContentEncoder, init_args: {{pretrained: INPUTS/teacher, channels: 6, width: 8,
              layers: 1}}}}
    augmentation: [{{class_path: RandomGain, init_args: {{low: -18, high: 6, probability: 0.5}}}}]
    weights: {{distance: 1}}
    optimizer: {{class_path: AdamW, init_args: {{lr: 1.0e-3}}}}
data: {FOLDERS}
"""
TEXT = f"""
model:
  class_path: TextModule
  init_args:
    voice: INPUTS/prosodic
    text_encoder: {{class_path: ParallelTextEncoder, init_args: {{width: 64, hidden: 32, layers: 1, frame_layers: 1}}}}
    segment_seconds: 1
    weights: {{content: 1, duration: 0.3, pitch: 2, voicing: 0.2, energy: 0.1}}
    optimizer: {{class_path: AdamW, init_args: {{lr: 1.0e-3}}}}
data: {TABLE}
"""
PROCESSES = ["--trainer.accelerator", "cpu", "--trainer.devices", "2"]
# Name of each training: its recipe, and what is added on the command line.
TRAININGS: dict[str, tuple[str, list[str]]] = {
    "fit": (VOICE, []),
    "fit-vocoder": (VOCODER, []),
    "fit-distillation": (DISTILLATION, []),
    "fit-text": (TEXT, []),
    "fit-workers": (VOICE, ["--data.workers", "2"]),
    "fit-processes": (VOICE, PROCESSES),
}


def write_recipes(inputs: Path) -> None:
    """Write the recipes, and what they refer to, into a folder that has the recordings ``corpus/sN/M.wav``."""
    import torch

    from lightning_voiceclone.checkpoints.part_folder import save_part
    from lightning_voiceclone.checkpoints.voice_folder import save_voice
    from lightning_voiceclone.core.part import Dims
    from lightning_voiceclone.features.spectral import MelSpectrogram
    from lightning_voiceclone.networks.content_encoders.conv import ConvContentEncoder
    from lightning_voiceclone.testing.voices import small_voice

    torch.manual_seed(0)
    save_part(ConvContentEncoder(Dims(20), channels=6, width=8, layers=1), MelSpectrogram(n_mels=20).spec,
              inputs / "teacher")  # fmt: skip
    save_voice(small_voice(Dims(20, content=4, speaker=8, pitch=True, energy=True)), inputs / "prosodic")
    rows = ["path\tspeaker\ttext\tsplit"]
    for number, text in enumerate(("we go", "nobody knows", "in water", "some day", "all year", "she had")):
        speaker, take = divmod(number, 2)
        rows.append(f"corpus/s{speaker}/{take}.wav\ts{speaker}\t{text}\t{'validation' if speaker == 2 else 'train'}")
    (inputs / "table.tsv").write_text("\n".join(rows) + "\n")
    for name, (recipe, _) in TRAININGS.items():
        text = (recipe + TRAINER).replace("CORPUS", str(inputs / "corpus")).replace("INPUTS", str(inputs))
        (inputs / f"{name}.yaml").write_text(text)


def arguments_of(name: str, inputs: Path) -> list[str]:
    """The command of a training."""
    return ["fit", "--config", str(inputs / f"{name}.yaml"), *TRAININGS[name][1]]


def note_steps(folder: Path) -> None:
    """Write the number of each step that is done to a file, before its checkpoint can be; in a process of its own."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    from lightning_voiceclone.training import aligned_texts

    aligned_texts.LOWEST_SCORE = 0.0  # nothing is said in synthetic speech
    inner, target = ModelCheckpoint.on_train_batch_end, os.open(folder / "steps", os.O_WRONLY | os.O_CREAT)

    def outer(self: ModelCheckpoint, trainer, *more) -> None:
        if trainer.is_global_zero:
            os.pwrite(target, f"{trainer.global_step:6}".encode(), 0)
        inner(self, trainer, *more)

    ModelCheckpoint.on_train_batch_end = outer  # type: ignore[method-assign]


def in_two_processes(train: Callable[[], int]) -> int:
    """Status of a training in this process and in a fork of it, as torchrun starts two."""
    os.environ |= {"TORCHELASTIC_RUN_ID": "kills", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
                   "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}  # fmt: skip
    other = os.fork()
    rank = "0" if other else "1"
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
    status = train()
    if not other:
        os._exit(status)
    return status or os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])
