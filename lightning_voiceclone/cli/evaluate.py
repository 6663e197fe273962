"""``lvc evaluate``."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_voiceclone.cli.options import CommandParser, device
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.terminal import console, printable

if TYPE_CHECKING:
    from lightning_voiceclone.evaluation.report import Report
    from lightning_voiceclone.evaluation.systems import System

MARKED = 5  # cases whose reasons are printed; the report has all
DESCRIPTION = """\
Clone every pair of a table, measure the clones, and write DIR/metrics.json, DIR/index.html and DIR/audio/. After an
interruption, run the same command again: it continues where it stopped and computes only what is missing."""
EPILOG = """\
TSV is tab-separated, with the columns case, source, reference and transcript, and paths relative to its own folder;
optional: target (the reference's speaker with the source's words), source_speaker and target_speaker.

metrics: snr_db segsnr_db rmse pesq_wb stoi (against a parallel recording: the source of --copy and --ground-truth, or
the pairs' target), log_spectral_rmse_db spectral_correlation mcd_db f0_rmse_hz f0_correlation voicing_error
duration_ratio (against it, or the source), dnsmos_ovrl (the clone alone), similarity_reference similarity_source
nearer_reference speaker_eer (by the speaker encoder), wer cer wer_self (by the recogniser), and those of plugins.

examples:
  lvc evaluate --pairs pairs.tsv --checkpoint last.ckpt --output report
  lvc evaluate --pairs pairs.tsv --converted other_system/ --output other_report
  lvc evaluate --pairs pairs.tsv --copy --checkpoint last.ckpt --output ceiling --without wer_self
  lvc evaluate --pairs pairs.tsv --copy --vocoder default --output vocoder
  lvc evaluate --pairs pairs.tsv --ground-truth --output truth --recognizer WhisperRecognizer:model=DIR
  lvc compare report other_report ceiling"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc evaluate", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--pairs", required=True, metavar="TSV", help="table of sources and references")
    made.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder of the report")
    what = made.add_argument_group("what is measured, one of these")
    what.add_argument(
        "--checkpoint",
        metavar="PATH",
        help="model that clones the pairs: a .ckpt, a model folder, or default for the one that ships",
    )
    what.add_argument("--converted", metavar="DIR", help="files CASE.wav of another system")
    what.add_argument(
        "--copy",
        action="store_true",
        help="sources analysed and resynthesised by the vocoder, of --checkpoint if given",
    )
    what.add_argument("--ground-truth", action="store_true", help="the sources themselves")
    made.add_argument("--vocoder", metavar="WHICH", help="use this one instead of the model's own (with"
                      " --checkpoint or --copy); as for lvc clone")  # fmt: skip
    made.add_argument("--guidance", type=float, metavar="STRENGTH",
                      help="as for lvc clone (with --checkpoint; default: the model's own)")  # fmt: skip
    made.add_argument("--limit", type=int, metavar="N", help="use only N pairs, evenly spread (default: all)")
    made.add_argument("--measures", metavar="A,B", default="", help="compute only these metrics (default: all)")
    made.add_argument("--without", metavar="A,B", default="", help="leave these metrics out")
    made.add_argument("--recognizer", metavar="NAME",
                      help="speech recogniser, as NAME:setting=value (default: WhisperRecognizer)")  # fmt: skip
    made.add_argument("--speaker-encoder", metavar="NAME",
                      help="speaker encoder, likewise (default: ResemblyzerSpeakerEncoder)")  # fmt: skip
    made.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes that measure (default: one a processor)"
    )
    made.add_argument(
        "--seed", type=int, default=0, help="random seed of the clones' noise and of the intervals (default: 0)"
    )
    made.add_argument("--draws", type=int, default=2000, metavar="N", help="draws of the bootstrap (default: 2000)")
    made.add_argument(
        "--device", type=device, default="cpu", help="device of the model: cpu, cuda, cuda:1, mps (default: cpu)"
    )
    return made


def run(argv: list[str]) -> int:
    """Evaluate, and print the metrics."""
    options = parser().parse_args(argv)
    _check(options)
    from lightning_voiceclone.evaluation.run import evaluate

    report = evaluate(
        options.pairs,
        _system(options),
        options.output,
        measures=_names(options.measures),
        without=_names(options.without),
        recognizer=options.recognizer,
        speaker_encoder=options.speaker_encoder,
        limit=options.limit,
        workers=options.workers,
        draws=options.draws,
        seed=options.seed,
    )
    _print(report)
    return 0


def _check(options: argparse.Namespace) -> None:
    given = [name for name in ("converted", "copy", "ground_truth") if getattr(options, name)]
    if options.checkpoint and given != ["copy"]:
        given.insert(0, "checkpoint")
    if len(given) != 1:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in given) or "nothing"
        raise ConfigurationError(
            f"{named} is to be measured: name one of --checkpoint, --converted, --copy (with or without --checkpoint)"
            " and --ground-truth"
        )
    if options.vocoder and not (options.checkpoint or options.copy):
        raise ConfigurationError("--vocoder needs --checkpoint or --copy, which are not given; leave it out")
    if options.guidance is not None and given != ["checkpoint"]:
        raise ConfigurationError("--guidance needs --checkpoint, which is not given; leave it out")
    for name, least in (("draws", 1), ("workers", 0)):
        if getattr(options, name) < least:
            raise ConfigurationError(f"--{name} is {getattr(options, name)}, but must be at least {least}")
    from lightning_voiceclone.core.validation import check_seed

    check_seed(options.seed)


def _system(options: argparse.Namespace) -> "System":
    from lightning_voiceclone.evaluation.systems import ClonedBy, Converted, Copy, GroundTruth

    if options.copy:
        return Copy.named(options.checkpoint, options.vocoder, device=options.device)
    if options.ground_truth:
        return GroundTruth()
    if options.converted:
        return Converted(options.converted)
    return ClonedBy(options.checkpoint, vocoder=options.vocoder, seed=options.seed, guidance=options.guidance,
                    device=options.device)  # fmt: skip


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print(report: "Report") -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(report.system["name"])), title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    sources: dict[str, int] = {}
    for heading in ("mean", "95% interval", "cases", "unit", "by"):
        table.add_column(heading, justify="left" if heading == "unit" else "right", no_wrap=True)
    for name, metric in report.metrics.items():
        interval = "" if None in metric["ci95"] else " to ".join(shown(end) for end in metric["ci95"])
        source = source_text(metric["judge"])
        number = str(sources.setdefault(source, len(sources) + 1)) if source else ""
        cells = (name, shown(metric["mean"]), interval, str(metric["n"]), metric["unit"], number)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    output = console()
    output.print(table)
    for source, place in sources.items():
        output.print(Text(printable(f"measured by {place}: {source}")))
    for warning in report.system["warnings"]:
        output.print(Text(printable(f"warning: {warning}")))
    for case in [case for case in report.cases if case["error"]][:MARKED]:
        output.print(Text(printable(f"{case['case']}: {case['error']}")))
    output.print(Text(printable(f"report: {report.folder / 'index.html'}")))


def shown(value: float | None) -> str:
    """A number for a table: four digits, or a dash for none."""
    return "-" if value is None else f"{value:.4g}"


def source_text(source: Mapping[str, Any] | None) -> str:
    """The model that measured, as ``judge`` of ``metrics.json``, in a few words; empty for none."""
    if source is None:
        return ""
    weights = f", weights {source['sha256'][:12]}" if source["sha256"] else ""
    return f"{source['name']} {source['version']}{weights}"
