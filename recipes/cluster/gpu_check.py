"""Try a training on this machine's GPUs: precision, speed, kill and resume, torch.compile, several of them by NCCL.

    python recipes/cluster/gpu_check.py                                  # on recordings that it makes
    python recipes/cluster/gpu_check.py --recipe clone_base --more --data.root LibriTTS
    python recipes/cluster/gpu_check.py --device cpu --steps 4           # tries the script itself

It takes some minutes, works in a folder of its own, and prints a line for each check; it ends with 1 if one failed.
No machine with a GPU was at hand when it was written: a line that fails may be the script's fault.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch

from lightning_voiceclone import load_model
from lightning_voiceclone.testing.signals import speech_like

MADE = ["--data.corpus", "SpeakerFolders", "--data.validation", "1", "--data.segment_seconds", "0.6",
        "--data.reference_seconds", "1"]  # fmt: skip
CLOSE = 1e-3  # greatest difference between compiled and plain


class Trial:
    """Trainings in folders of their own below one."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options, self.failed = folder, options, 0
        self.more = options.more
        if not self.more:
            for speaker in range(6):
                path = folder / f"speech/s{speaker}/0.wav"
                path.parent.mkdir(parents=True)
                soundfile.write(path, speech_like(4.0, speaker=speaker).audio, 16000)
            self.more = [*MADE, "--data.root", str(folder / "speech")]

    def command(self, steps: int, *words: str) -> list[str]:
        """Of a training of so many steps."""
        accelerator = "cpu" if self.options.device == "cpu" else "gpu"
        return [sys.executable, "-m", "lightning_voiceclone", "fit", "--config", self.options.recipe, *self.more,
                "--trainer.max_steps", str(steps), "--trainer.max_time", "null", "--trainer.limit_val_batches", "0",
                "--checkpoint.monitor", "null", "--trainer.enable_progress_bar", "false", "--trainer.accelerator",
                accelerator, "--trainer.devices", "1", *words]  # fmt: skip

    def train(self, name: str, steps: int, *words: str) -> float:
        """Seconds of a training that must succeed."""
        (self.folder / name).mkdir(exist_ok=True)
        begin = time.monotonic()
        done = subprocess.run(self.command(steps, *words), cwd=self.folder / name, check=False, capture_output=True,
                              text=True)  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name}: " + done.stderr.strip().splitlines()[-1])
        return time.monotonic() - begin

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        """Of the last checkpoint of a training."""
        last = max((self.folder / name).glob("runs/*/version_*/checkpoints/last.ckpt"), key=str)
        return torch.load(last, weights_only=True, map_location="cpu")["state_dict"]

    def check(self, name: str, run) -> None:
        """Print what a check finds, or why it failed."""
        try:
            print(f"{name}: {run()}", flush=True)
        except Exception as error:
            self.failed += 1
            print(f"{name}: FAILED: {error}", flush=True)

    # Checks ----------------------------------------------------------------------------------------------------------

    def speed(self, precision: str) -> str:
        """Steps a second, from two trainings of which one is shorter."""
        few, many = self.options.steps // 4, self.options.steps
        short = self.train(f"{precision}-few", few, "--trainer.precision", precision)
        long = self.train(precision, many, "--trainer.precision", precision)
        finite = all(bool(value.isfinite().all()) for value in self.weights(precision).values())
        if not finite:
            raise RuntimeError("weights that are not finite")
        speed = f"{(many - few) / (long - short):.1f} steps a second" if long > short + 1 else "too few steps to time"
        return f"{speed}, all weights finite"

    def resume(self) -> str:
        """The same as without the kill, but for what the GPU computes in another order."""
        words = ["--trainer.precision", "32-true"]
        every = max(self.options.steps // 4, 1)
        folder = self.folder / "killed"
        folder.mkdir()
        command = self.command(self.options.steps, *words, "--checkpoint.every_n_train_steps", str(every),
                               "--checkpoint.save_top_k", "-1")  # fmt: skip
        running = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not any(folder.glob("runs/*/version_0/checkpoints/step*.ckpt")) and running.poll() is None:
            time.sleep(0.2)
        running.kill()
        running.wait()
        self.train("killed", self.options.steps, *words, "--ckpt_path", "last")
        ours, theirs = self.weights("killed"), self.weights("32-true")
        apart = max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours)
        return f"killed, resumed; greatest difference of a weight {apart:.1e}"

    def compiled(self) -> str:
        """A clone by the model that ships, with generator and vocoder compiled and plain."""
        model = load_model("default", device=self.options.device)
        source, reference = ((speech_like(3.0, speaker=one).audio, 16000) for one in (0, 1))
        speaker = model.speaker(reference)
        plain, begin = model.convert(source, speaker).samples, time.monotonic()
        model.convert(source, speaker)
        eager = time.monotonic() - begin
        for part in (model.voice.generator, model.voice.vocoder):
            part.compile(dynamic=True)
        made = model.convert(source, speaker).samples
        begin = time.monotonic()
        model.convert(source, speaker)
        apart = float((made - plain).abs().max())
        if apart > CLOSE:
            raise RuntimeError(f"samples differ by {apart:.1e}")
        return f"samples within {apart:.1e}, {eager / (time.monotonic() - begin):.2f} times as fast"

    def several(self, devices: int) -> str:
        """A training on several devices, beside one on one."""
        one = self.train("one", self.options.steps)
        both = self.train("several", self.options.steps, "--trainer.devices", str(devices))
        return f"{devices} train together; the same number of steps takes {both / one:.2f} times as long as with one"


def main() -> int:
    """Run the checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="librispeech")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--steps", type=int, default=200, help="of a training")
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[],
                        help="last of all: more arguments of lvc fit, such as --data.root PATH")  # fmt: skip
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU here: nothing was tried", file=sys.stderr)
        return 2
    count = torch.cuda.device_count() if options.device == "cuda" else 2
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), options)
        for precision in ("32-true", "bf16-mixed"):
            trial.check(precision, lambda precision=precision: trial.speed(precision))
        trial.check("kill -9", trial.resume)
        trial.check("torch.compile", trial.compiled)
        if count > 1:
            trial.check("NCCL" if options.device == "cuda" else "gloo", lambda: trial.several(min(count, 2)))
    return int(trial.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
