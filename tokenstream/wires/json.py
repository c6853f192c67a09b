"""The wire "json": one JSON object an event, one documented key a part.

| part | data |
|---|---|
| text | `{"token":" cat"}` |
| `Reasoning` | `{"reasoning":"...","signature":"..."}` (signature where there is one) |
| `ToolCall` | `{"tool_call":{"index":0,"id":"...","name":"...","arguments":"..."}}` |
| `ToolResult` | `{"tool_result":{"id":"...","output":...,"is_error":false}}` |
| `Source` | `{"source":{"url":"...","title":"..."}}` (title where there is one) |
| `Step` | `{"step":true}` |
| `Usage` | `{"usage":{"input_tokens":1,"output_tokens":2,"details":{}}}` |
| `Finish` | `{"finish":"stop"}` |
| `Data` | `{"data":{"name":"...","value":...}}` |
| `sse.Event` | as it is |

Success ends with `data: [DONE]`, failure with `event: error` and `{"error":"..."}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import sse
from ..parts import Data, Finish, Reasoning, Source, Step, ToolCall, ToolResult, Usage
from .base import Encoder, Wire, json_ascii, json_string

__all__ = ["Json"]


@dataclass(frozen=True)
class Json(Wire):
    """The wire "json"."""

    name = "json"
    event_source = True

    def begin(self) -> Encoder:
        """Return the encoder of one stream."""
        return _JsonEncoder()


def _frame(value: Mapping[str, Any]) -> bytes:
    return f"data: {json_ascii(value)}\n\n".encode("ascii")


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


class _JsonEncoder(Encoder):
    wire = "json"
    overhead = len('data: {"token":""}\n\n')

    def text(self, text: str) -> bytes:
        return ('data: {"token":' + json_string(text) + "}\n\n").encode("ascii")

    def texts(self, texts: list[str]) -> bytes:
        tokens = '}\n\ndata: {"token":'.join(map(json_string, texts))
        return f'data: {{"token":{tokens}}}\n\n'.encode("ascii")

    def reasoning(self, part: Reasoning) -> bytes:
        return _frame(_given(reasoning=part.text, signature=part.signature))

    def tool_call(self, part: ToolCall) -> bytes:
        call = _given(index=part.index, id=part.id, name=part.name, arguments=part.arguments)
        return _frame({"tool_call": call})

    def tool_result(self, part: ToolResult) -> bytes:
        result = {"id": part.id, "output": part.output, "is_error": part.is_error}
        return _frame({"tool_result": result})

    def source(self, part: Source) -> bytes:
        return _frame({"source": _given(url=part.url, title=part.title)})

    def step(self, part: Step) -> bytes:
        return _frame({"step": True})

    def usage(self, part: Usage) -> bytes:
        usage = {
            "input_tokens": part.input_tokens,
            "output_tokens": part.output_tokens,
            "details": dict(part.details),
        }
        return _frame({"usage": usage})

    def finish(self, part: Finish) -> bytes:
        return _frame({"finish": part.reason})

    def data(self, part: Data) -> bytes:
        return _frame({"data": {"name": part.name, "value": part.value}})

    def event(self, part: sse.Event) -> bytes:
        return sse.encode(part)

    def error(self, message: str) -> bytes:
        return b"event: error\n" + _frame({"error": message})
