"""`tokenstream`: the commands and their options.

A command's status is 0, 1 where something is wrong (said on stderr, in a
line), 2 for options that can't be, and 130 for Ctrl-C before it was done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec

from .failure import CommandFailed

__all__ = ["main"]

DEMO_MODULES = ("uvicorn", "rich", "httpx")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    arguments: the words after the program's name; by default those of the process.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except CommandFailed as error:
        print(f"tokenstream: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntokenstream: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenstream", description="LLM token streaming for the web app you already have."
    )
    parser.add_argument("--version", action="version", version=f"tokenstream {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands.add_parser("demo", help=DEMO_HELP, description=DEMO_HELP))
    return parser


DEMO_HELP = "Serve a chat page and type one reply in the terminal, read from the page's endpoint."


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_demo)
    parser.add_argument(
        "--source",
        choices=["smollm2", "builtin"],
        help="what answers: the model SmolLM2-135M-Instruct (default where torch and "
        "transformers are installed; its first start downloads 93 MB), or a built-in script",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8000, help="port to serve on (%(default)s); 0: a free one"
    )
    parser.add_argument(
        "--prompt", default="Why is the sky blue?", help='what is asked first ("%(default)s")'
    )
    parser.add_argument(
        "--once", action="store_true", help="stop after the first reply: serve no page"
    )


def _demo(options: argparse.Namespace) -> int:
    if missing := [name for name in DEMO_MODULES if find_spec(name) is None]:
        raise CommandFailed(
            f"the demo needs {', '.join(missing)}, which is not installed: "
            'pip install "tokenstream-sse[demo]"'
        )
    from .demo import run

    return run(
        source=options.source,
        host=options.host,
        port=options.port,
        prompt=options.prompt,
        once=options.once,
    )


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _version() -> str:
    try:
        return metadata.version("tokenstream-sse")
    except metadata.PackageNotFoundError:
        return "(not installed)"
