"""A connection is cut by another thread, at each moment of a request, under TLS as well."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading

import pytest

from tests.needs import need_module, need_program
from tokenstream.errors import UpstreamError

httpx = need_module("httpx")

from tokenstream.sources.remote import stream_chat
from tokenstream.sources.remote.line import Line

from ...pairings import until
from .upstream import HEAD, Upstream, chunk, frames

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    asked = "req -x509 -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -days 1"
    named = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    command = [need_program("openssl"), *asked.split(), *named.split()]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder


def reading(source):
    parts = []
    thread = threading.Thread(target=lambda: parts.extend(source), daemon=True)
    thread.start()
    return thread, parts


def test_during_the_handshake():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        source = stream_chat(url, HELLO, model="m", connect_timeout=60)
        thread, parts = reading(source)
        listener.settimeout(20)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            assert connection.recv(65536)  # its hello, which is left without an answer
            source.interrupt()
            assert connection.recv(65536) == b""
            thread.join(20)
    assert not thread.is_alive()
    assert parts == []


def test_within_a_stream_under_tls(certificate):
    def answer(visit):
        visit.send(HEAD + frames(chunk("Hel")))
        visit.wait_gone()

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with Upstream(answer, tls=server) as upstream, httpx.Client(verify=trusted) as client:
        source = stream_chat(upstream.url, HELLO, model="m", client=client)
        thread, parts = reading(source)
        visit = upstream.visit()
        until(lambda: parts)
        source.interrupt()
        assert visit.gone.wait(20)
        thread.join(20)
    assert parts == ["Hel"]


def test_a_certificate_that_nobody_trusts_is_502(certificate):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with Upstream(lambda visit: None, tls=server) as upstream:
        source = stream_chat(upstream.url, HELLO, model="m", retries=0)
        with pytest.raises(UpstreamError) as raised:
            list(source)
    assert (raised.value.status, str(raised.value)) == (502, "the upstream could not be reached")
    assert "certificate" in str(raised.value.__notes__)


def test_a_line_that_was_cut_before_there_was_a_connection():
    line = Line()
    line.cut()
    ours, theirs = socket.socketpair()

    class Stream:
        def get_extra_info(self, name):
            return ours

    line.trace("connection.connect_tcp.complete", {"return_value": Stream()})
    assert theirs.recv(1) == b""
    line.release()
    line.release()
    ours.close()
    theirs.close()
