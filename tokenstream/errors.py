"""Every error that tokenstream raises by itself, by whose fault it is.

TokenStreamError
    UsageError              the code that calls us
        InvalidOption         (ValueError)    an option has a value that means nothing
        UnknownWire           (ValueError)    no wire has that name
        NotASource            (TypeError)     it can't be iterated, or has been already
        UnknownPart           (TypeError)     the source yielded what is no part
        UnsupportedPart       (TypeError)     the wire has no place for that part
        ForeignLoop           (RuntimeError)  the source belongs to another event loop
        AlreadyRead           (RuntimeError)  a stream has one reader
        FinishedTooLate       (RuntimeError)  a response was returned after the stream had begun
        LostInFork            (RuntimeError)  the process forked while the stream was open
        WarmedBeforeFork      (RuntimeError)  the process forked after torch had generated in it
        BodyDropped           (RuntimeError)  the request's body was not read in time
        EventTooLarge         (ValueError)    the decoder met an event over its bound
        ChannelFull           (RuntimeError)  the channel's reader is behind, and no wait is left
        ChannelClosed         (RuntimeError)  a part was sent after the channel's end
    SourceError             the thing that yields tokens
        SourceTimeout         (TimeoutError)  no part for `source_timeout` seconds
        DurationExceeded      (TimeoutError)  the stream lasted `max_duration` seconds
        SizeExceeded          (RuntimeError)  more bytes than a server that never waits may hold
        SourceCancelled       (RuntimeError)  the source was cancelled from outside
        PromptTooLong         (ValueError)    the prompt does not fit into the model's context
        ModelNotLoaded        (OSError)       the model could not be loaded
        UpstreamError         (RuntimeError)  a remote API refused, failed, or was cut
        ServerShutdown        (RuntimeError)  the process ends while the stream is open
    ReaderError             the one who reads
        BadRequest            (ValueError)    the request's body is not what its wire asks for (400)
        BodyTooLarge          (ValueError)    the request's body is over the limit (413)
        ReaderLeft            (ConnectionError) the reader went away
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "AlreadyRead",
    "BadRequest",
    "BodyDropped",
    "BodyTooLarge",
    "ChannelClosed",
    "ChannelFull",
    "DurationExceeded",
    "EventTooLarge",
    "FinishedTooLate",
    "ForeignLoop",
    "InvalidOption",
    "LostInFork",
    "ModelNotLoaded",
    "NotASource",
    "PromptTooLong",
    "ReaderError",
    "ReaderLeft",
    "ServerShutdown",
    "SizeExceeded",
    "SourceCancelled",
    "SourceError",
    "SourceTimeout",
    "TokenStreamError",
    "UnknownPart",
    "UnknownWire",
    "UnsupportedPart",
    "UpstreamError",
    "UsageError",
    "WarmedBeforeFork",
]


class TokenStreamError(Exception):
    """The root of all errors that tokenstream raises by itself."""


class UsageError(TokenStreamError):
    """The calling code asks for what can't be."""


class InvalidOption(UsageError, ValueError):
    """An option has a value that means nothing."""


class UnknownWire(UsageError, ValueError):
    """No wire has that name."""


class NotASource(UsageError, TypeError):
    """The source can't be iterated, or has been already."""


class UnknownPart(UsageError, TypeError):
    """The source yielded something that is no part of a stream."""


class UnsupportedPart(UsageError, TypeError):
    """The wire has no place for a part."""


class ForeignLoop(UsageError, RuntimeError):
    """The source was opened on one event loop and is read on another."""


class AlreadyRead(UsageError, RuntimeError):
    """A stream has one reader, once."""


class FinishedTooLate(UsageError, RuntimeError):
    """The source returned a finished response when the stream had already begun."""


class LostInFork(UsageError, RuntimeError):
    """The process forked while the stream was open: its pump stayed in the parent."""


class WarmedBeforeFork(UsageError, RuntimeError):
    """The process forked after torch had generated in it: its threads stayed in the parent."""


class BodyDropped(UsageError, RuntimeError):
    """The request's body was not read before the stream began."""


class EventTooLarge(UsageError, ValueError):
    """The decoder met an event that is larger than its bound.

    events: those that were whole before it, in the same chunk.
    """

    def __init__(self, message: str, events: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self.events = tuple(events)


class ChannelFull(UsageError, RuntimeError):
    """The channel holds as many parts as it may, and the caller would not wait."""


class ChannelClosed(UsageError, RuntimeError):
    """A part was sent to a channel that had been closed already."""


class SourceError(TokenStreamError):
    """The source failed in a way that tokenstream itself can tell."""


class SourceTimeout(SourceError, TimeoutError):
    """The source yielded nothing for `source_timeout` seconds."""


class DurationExceeded(SourceError, TimeoutError):
    """The stream lasted longer than `max_duration` seconds."""


class SizeExceeded(SourceError, RuntimeError):
    """The stream has more bytes than may be given to a server that never waits for its reader."""


class SourceCancelled(SourceError, RuntimeError):
    """The source was cancelled from outside: by its own code, or by a loop that ended."""


class ServerShutdown(SourceError, RuntimeError):
    """The process ends while the stream is open."""


class PromptTooLong(SourceError, ValueError):
    """The prompt has more tokens than the model's context takes."""


class ModelNotLoaded(SourceError, OSError):
    """The model could not be loaded from where the caller pointed."""


class UpstreamError(SourceError, RuntimeError):
    """A remote API refused the request, failed in its stream, or was cut.

    status: the HTTP status it answered with, None where there was no answer or the
        stream had begun. retry_after: its `Retry-After`, as it came. kind: its own
        word for the error ("rate_limit_error"). public: what a reader may be told
        before the stream, None for the public message: the error's own words are for
        the log, as they may name keys and addresses.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: str | None = None,
        kind: str | None = None,
        public: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.kind = kind
        self.public = public


class ReaderError(TokenStreamError):
    """The one who reads is at fault, or gone."""


class BadRequest(ReaderError, ValueError):
    """The request's body is not what its wire asks for: the answer is 400.

    field: the path of what was wrong, such as `messages[0].role`; None for the whole body.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message if field is None else f"{field}: {message}")
        self.field = field


class BodyTooLarge(ReaderError, ValueError):
    """The request's body is larger than the limit: the answer is 413."""


class ReaderLeft(ReaderError, ConnectionError):
    """The reader went away before the request's body had arrived."""
