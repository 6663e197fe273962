"""``lvc-federate server`` and ``lvc-federate client``."""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

ADDRESS = "127.0.0.1:8080"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        "lvc-federate",
        description="Adapt a model to several speakers whose recordings stay where they are: each client trains on its"
        " own, and the server averages the weights.",
    )
    commands = made.add_subparsers(dest="command", required=True)
    server = commands.add_parser("server", help="wait for clients, average their weights, write a model folder")
    server.add_argument("--output", required=True, metavar="MODEL", help="folder to write, anew after each round")
    server.add_argument("--address", default=ADDRESS, metavar="HOST:PORT", help=f"to listen on (default: {ADDRESS})")
    server.add_argument("--clients", type=int, required=True, metavar="N", help="that the first round waits for")
    server.add_argument("--rounds", type=int, default=10, metavar="N", help="default: 10")
    server.add_argument("--steps", type=int, default=30, metavar="N", help="of a client in a round (default: 30)")
    server.add_argument("--learning-rate", type=float, default=1e-4, metavar="RATE", help="of AdamW (default: 1e-4)")
    server.add_argument("--strength", type=float, default=0.6, metavar="SHARE",
                        help="interpolation from the original (0) to the trained weights (default: 0.6)")  # fmt: skip
    server.add_argument("--wait", type=float, default=600.0, metavar="SECONDS",
                        help="until the first round begins without the clients that are missing"
                        " (default: 600)")  # fmt: skip
    server.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS",
                        help="of a round; who has not answered by then is left out of it (default: 3600)")  # fmt: skip
    server.add_argument("--bits", type=int, default=16, choices=(32, 16, 8), help="of a stored weight (default: 16)")
    client = commands.add_parser("client", help="train on a folder of recordings, round by round")
    client.add_argument("--data", required=True, metavar="FOLDER", help="recordings of one speaker, at least two")
    client.add_argument("--server", default=ADDRESS, metavar="HOST:PORT", help=f"its address (default: {ADDRESS})")
    client.add_argument("--seed", type=int, default=0, help="of crops and noise (default: 0)")
    client.add_argument("--denoise", default="auto", metavar="WHEN", help="auto, on or off, as for lvc clone")
    client.add_argument("--wait", type=float, default=60.0, metavar="SECONDS",
                        help="to wait for a server (default: 60)")  # fmt: skip
    for command in (server, client):
        command.add_argument("--checkpoint", default="default", metavar="PATH", help="model to start from, the same for"
                             " server and clients (default: the bundled model)")  # fmt: skip
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0, 2 for an error that a user can fix, which is one line, or 130 for Ctrl-C."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.errors import LVCError
    from lightning_voiceclone.utils.files import reason_of
    from lightning_voiceclone.utils.terminal import printable

    warnings.filterwarnings("ignore", module="flwr")
    logging.getLogger("flwr").setLevel(logging.ERROR)
    try:
        return _serve(options) if options.command == "server" else _take_part(options)
    except LVCError as error:
        print(f"lvc-federate: error: {printable(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"lvc-federate: error: {printable(reason_of(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _note(line: str) -> None:
    from lightning_voiceclone.utils.terminal import printable

    print(printable(line), file=sys.stderr, flush=True)


def _serve(options: argparse.Namespace) -> int:
    from lightning_voiceclone.checkpoints.voice_folder import check_place
    from lightning_voiceclone.utils.files import check_no_input
    from lightning_voiceclone.utils.terminal import printable
    from lvc_flower.server import Plan, serve

    output = Path(options.output)
    check_place(output)
    check_no_input(output, [options.checkpoint])
    plan = Plan(options.clients, options.rounds, options.steps, options.learning_rate, options.strength, options.wait,
                options.timeout)  # fmt: skip
    done = serve(options.address, options.checkpoint, output, plan, bits=options.bits, note=_note)
    print(f"{printable(str(output))}: adapted in {done} of {plan.rounds} rounds")
    return 0


def _take_part(options: argparse.Namespace) -> int:
    from lightning_voiceclone.core.validation import check_seed
    from lightning_voiceclone.inference.screening import check_denoise
    from lvc_flower.client import take_part

    check_denoise(options.denoise)
    check_seed(options.seed)
    rounds = take_part(options.server, Path(options.data), options.checkpoint, seed=options.seed,
                       denoise=options.denoise, wait=options.wait, note=_note)  # fmt: skip
    print(f"took part in {rounds} rounds")
    return 0
