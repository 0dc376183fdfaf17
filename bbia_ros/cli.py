"""The `bbia` command: bring the robot up, look at it, tell it what to do."""

from __future__ import annotations

import signal

# Ctrl-C during the imports ends quietly. A command that has something to clean up handles it itself.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402

COMMANDS = ("up", "status", "mode", "nodes", "models", "demo", "bench", "soak", "version")
"""Sub-commands in the order of the help; bbia_ros.commands.<name> implements each."""

WRONG_INPUT = 2
"""Exit code when what the user asked for does not exist or makes no sense."""
FAILED = 1
"""Exit code when it made sense and did not work."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""

DESCRIPTION = """A robot brain for Reachy Mini whose memory is budgeted, measured and given back.

  bbia up                  start the stack and enter mode `idle`; Ctrl-C ends it
  bbia status              watch nodes, models and memory, in another terminal
  bbia mode converse       let it see, hear, think and answer
  bbia demo                a conversation in simulation, with a report and a film
"""


class WrongInput(ValueError):
    """What the user asked for does not exist or makes no sense; one sentence."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="bbia", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if importlib.util.find_spec(f"bbia_ros.commands.{name}") is None:
            continue  # this installation leaves it out
        module = importlib.import_module(f"bbia_ros.commands.{name}")
        sub = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=getattr(module, "DESCRIPTION", module.SUMMARY),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which running stack is meant."""
    parser.add_argument("--namespace", default="bbia", help="ROS namespace of the stack (default: bbia)")
    parser.add_argument(
        "--domain", type=int, default=None, metavar="N", help="ROS domain (default: ROS_DOMAIN_ID, or 0)"
    )


def use_domain(domain: int | None) -> None:
    """Sets the environment of everything that speaks ROS from now on.

    Raises:
        WrongInput: no such domain.
    """
    from bbia_ros.domain import set_middleware_defaults

    set_middleware_defaults(os.environ)
    if domain is not None:
        if not 0 <= domain <= 232:
            raise WrongInput(f"ROS domain {domain} does not exist; use 0 to 232")
        os.environ["ROS_DOMAIN_ID"] = str(domain)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command; returns the exit code."""
    from bbia_ros.manager.parameter_files import BringupError

    arguments = make_parser().parse_args(argv)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return int(arguments.run(arguments))
    except (WrongInput, BringupError) as error:
        return complain(str(error), WRONG_INPUT)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, like `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def complain(sentence: str, code: int) -> int:
    """Prints one sentence to standard error and returns the exit code."""
    print(f"bbia: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
