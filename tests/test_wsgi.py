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

from tokenstream.wsgi import disconnect_probe, hanger_up

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


@pytest.mark.parametrize("name", ["gunicorn.socket", "gunicorn.sock", "werkzeug.socket"])
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
    served, client = tls(pair, tmp_path)
    with client:
        gone = probe(served)
        assert gone() is False
        client.sendall(b"hello")
        assert gone() is False
        assert served.recv(5) == b"hello"
    poll = select.poll()
    poll.register(served, select.POLLRDHUP)
    assert poll.poll(10_000)
    assert gone() is True
    served.close()


def test_a_server_that_lends_no_socket() -> None:
    assert disconnect_probe({"wsgi.version": (1, 0)}) is None


@pytest.mark.parametrize("lent", [object(), "socket", 3.5])
def test_something_that_can_not_be_looked_at(lent: object) -> None:
    assert disconnect_probe({"gunicorn.socket": lent}) is None


def test_a_word_of_uwsgi_without_its_module_tells_nothing() -> None:
    assert disconnect_probe({"uwsgi.version": b"2.0.30"}) is None


def test_waitress_looks_itself() -> None:
    left: list[bool] = []
    gone = disconnect_probe({"waitress.client_disconnected": lambda: bool(left)})
    assert gone is not None
    assert gone() is False
    left.append(True)
    assert gone() is True


def tls(pair: Pair, folder: Path) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Return both ends, wrapped."""
    openssl = need_program("openssl")
    key, cert = folder / "key.pem", folder / "cert.pem"
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
    client = theirs.wrap_socket(reader)
    thread.join(10)
    return wrapped[0], client


# A writer that is stuck.


def write_for_ever(sock: socket.socket, raised: list[OSError]) -> None:
    try:
        while True:
            sock.sendall(b"x" * 65536)
    except OSError as error:
        raised.append(error)


@pytest.mark.parametrize("name", ["gunicorn.socket", "werkzeug.socket"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_hanging_up_frees_a_thread_that_writes(
    secure: bool, name: str, pair: Pair, tmp_path: Path
) -> None:
    served, reader = tls(pair, tmp_path) if secure else pair
    raised: list[OSError] = []
    thread = threading.Thread(target=write_for_ever, args=(served, raised), daemon=True)
    with served, reader:
        thread.start()
        while select.select([], [served], [], 0)[1]:
            threading.Event().wait(0.001)  # until nothing more fits
        hang_up = hanger_up({name: served, "SERVER_PROTOCOL": "HTTP/1.1"})
        assert hang_up is not None
        hang_up()
        thread.join(10)
        assert not thread.is_alive()
        assert len(raised) == 1
        assert served.fileno() >= 0  # the server's to close
        if isinstance(served, ssl.SSLSocket):
            assert served.version()  # what is written to it now is still encrypted
        # What had gone out is whole; bytes in clear would be an error of TLS here.
        read = b""
        while some := reader.recv(65536):
            read += some
        assert read
        assert read.count(b"x") == len(read)
        hang_up()  # too late, which does no harm
    hang_up()


@pytest.mark.parametrize(
    "environ", [{}, {"gunicorn.socket": None}, {"waitress.client_disconnected": bool}]
)
def test_no_socket_no_hanging_up(environ: dict[str, Any]) -> None:
    assert hanger_up(environ) is None


def test_a_connection_that_others_share_is_left_alone(pair: Pair) -> None:
    assert hanger_up({"gunicorn.socket": pair[0], "SERVER_PROTOCOL": "HTTP/2.0"}) is None


def test_what_is_no_socket_is_left_alone() -> None:
    hang_up = hanger_up({"gunicorn.socket": object()})
    assert hang_up is not None
    hang_up()


def _until_seen(served: socket.socket) -> None:
    """Wait until what the reader did has arrived."""
    assert select.select([served], [], [], 10)[0]
