"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["describe"]

PACKAGES = (
    "tokenstream-sse",
    "uvicorn",
    "uvloop",
    "httptools",
    "granian",
    "hypercorn",
    "gunicorn",
    "gevent",
    "starlette",
    "fastapi",
    "sse-starlette",
    "litestar",
    "django",
    "flask",
    "asgiref",
    "httpx-sse",
    "openai",
)


def describe() -> dict[str, Any]:
    """Return the date, the machine, Python, and the packages' versions."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
