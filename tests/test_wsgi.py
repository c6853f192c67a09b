"""The watch on a WSGI server's socket, with real sockets."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenstream.wsgi import disconnect_probe

from .needs import need_program

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = socket.create_connection(listener.getsockname())
        served, _ = listener.accept()
    with reader, served:
        yield served, reader


def probe(served: socket.socket, name: str = "gunicorn.socket") -> Any:
    found = disconnect_probe({name: served})
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["gunicorn.socket", "werkzeug.socket"])
def test_a_reader_that_closes_has_gone(name: str, pair: Pair) -> None:
    served, reader = pair
    gone = probe(served, name)
    assert gone() is False
    reader.close()
    _until_seen(served)
    assert gone() is True
    assert gone() is True


def test_no_byte_is_read(pair: Pair) -> None:
    served, reader = pair
    gone = probe(served)
    reader.sendall(b"GET / HTTP/1.1\r\n\r\n")
    _until_seen(served)
    assert gone() is False
    assert served.recv(100) == b"GET / HTTP/1.1\r\n\r\n"


def test_what_was_sent_before_does_not_hide_the_end(pair: Pair) -> None:
    if not hasattr(select, "POLLRDHUP"):
        pytest.skip("only POLLRDHUP sees an end behind unread bytes")
    served, reader = pair
    gone = probe(served)
    reader.sendall(b"more")
    reader.close()
    _until_seen(served)
    poll = select.poll()
    poll.register(served, select.POLLRDHUP)
    assert poll.poll(10_000)
    assert gone() is True


def test_a_reset_is_a_leaving(pair: Pair) -> None:
    served, reader = pair
    gone = probe(served)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    reader.close()
    _until_seen(served)
    assert gone() is True


def test_it_does_not_block_on_a_blocking_socket(pair: Pair) -> None:
    served, _ = pair
    served.setblocking(True)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(probe(served)()), daemon=True)
    thread.start()
    thread.join(10)
    assert answers == [False]


def test_a_socket_that_the_server_has_closed(pair: Pair) -> None:
    served, _ = pair
    gone = probe(served)
    served.close()
    assert gone() is True


def test_a_tls_socket(tmp_path: Path, pair: Pair) -> None:
    if not hasattr(select, "POLLRDHUP"):
        pytest.skip("a TLS socket can only be polled")
    openssl = need_program("openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    asked = (
        f"req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout {key} -out {cert}"
    )
    subprocess.run([openssl, *asked.split(" ")], check=True, capture_output=True)
    theirs, ours = (
        ssl.create_default_context(cafile=str(cert)),
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    )
    theirs.check_hostname = False
    ours.load_cert_chain(cert, key)
    served, reader = pair
    wrapped: list[ssl.SSLSocket] = []
    thread = threading.Thread(
        target=lambda: wrapped.append(ours.wrap_socket(served, server_side=True))
    )
    thread.start()
    with theirs.wrap_socket(reader) as client:
        thread.join(10)
        gone = probe(wrapped[0])
        assert gone() is False
        client.sendall(b"hello")
        assert gone() is False
        assert wrapped[0].recv(5) == b"hello"
    poll = select.poll()
    poll.register(wrapped[0], select.POLLRDHUP)
    assert poll.poll(10_000)
    assert gone() is True
    wrapped[0].close()


def test_a_server_that_lends_no_socket() -> None:
    assert disconnect_probe({"wsgi.version": (1, 0)}) is None


@pytest.mark.parametrize("lent", [object(), "socket", 3.5])
def test_something_that_can_not_be_looked_at(lent: object) -> None:
    assert disconnect_probe({"gunicorn.socket": lent}) is None


def test_waitress_looks_itself() -> None:
    left: list[bool] = []
    gone = disconnect_probe({"waitress.client_disconnected": lambda: bool(left)})
    assert gone is not None
    assert gone() is False
    left.append(True)
    assert gone() is True


def _until_seen(served: socket.socket) -> None:
    """Wait until what the reader did has arrived."""
    assert select.select([served], [], [], 10)[0]
