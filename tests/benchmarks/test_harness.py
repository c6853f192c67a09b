"""What the benchmarks rest on: the ratios, the check of a stream, the page's writer, the clock."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from ..needs import need_checkout, need_module

ROOT = need_checkout()
need_module("psutil")

from benchmarks.__main__ import SCRIPTS
from benchmarks.harness import TARGETS, Check, Plot, Report, Row, cli, docs, interleave, spread
from benchmarks.harness.report import figure
from benchmarks.harness.servers import process_cpu
from benchmarks.harness.wire import Body, check, count_events, lags

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def body_of(*contents: bytes, end: bytes = b"0\r\n\r\n") -> Body:
    return Body([(0, HEAD + b"".join(map(chunk, contents)) + end)])


class Scripted:
    """A case whose rounds give these figures."""

    def __init__(self, name: str, log: list[str], *values: float) -> None:
        self.name, self.log, self.values = name, log, iter(values)

    def __call__(self) -> dict[str, float]:
        self.log.append(self.name)
        return {"cpu": next(self.values)}


def test_each_round_runs_every_case_once_and_rotates_the_order():
    log: list[str] = []
    cases = {name: Scripted(name, log, *range(4)) for name in "abc"}
    interleave(cases, 4)
    assert "".join(log) == "abcbcacababc"


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    log: list[str] = []
    cases = {"ours": Scripted("ours", log, 1, 20, 6), "raw": Scripted("raw", log, 4, 10, 2)}
    rounds = interleave(cases, 3)
    ratio = rounds.ratio("ours", "raw", "cpu")
    assert (ratio.median, ratio.low, ratio.high) == (2, 0.25, 3)
    # Not the ratio of the medians:
    assert rounds.of("ours", "cpu").median / rounds.of("raw", "cpu").median == 1.5
    difference = rounds.difference("ours", "raw", "cpu")
    assert (difference.median, difference.low, difference.high) == (4, -3, 10)


def test_a_whole_stream_passes():
    body = body_of(b"data: a\n\n: ping\n\ndata: b", b"\n\ndata: [DONE]\n\n")
    check(body, Check(3))
    assert count_events(body.content) == 3


def test_crlf_is_an_end_of_line_too():
    body = body_of(b"data: a\r\n\r\n: ping\r\n\r\ndata: [DONE]\r\n\r\n")
    check(body, Check(2))
    assert count_events(body.content) == 2


@pytest.mark.parametrize(
    "content, why",
    [
        (b"data: [DONE]\n\n", "1 times, not 2"),
        (b"data: a\n\ndata: b\n\n", "no '\\[DONE\\]' at the end"),
        (b"data: [DONE]\n\ndata: a\n\n", "no '\\[DONE\\]' at the end"),
    ],
)
def test_a_broken_stream_is_an_error(content: bytes, why: str):
    with pytest.raises(ValueError, match=why):
        check(body_of(content), Check(2))


def test_a_body_that_was_cut_short_is_an_error():
    with pytest.raises(ValueError, match="cut short"):
        body_of(b"data: [DONE]\n\n", end=b"")
    with pytest.raises(ValueError, match="not a 200"):
        Body([(0, b"HTTP/1.1 500 Oh no\r\n\r\n")])


def test_a_lag_ends_when_the_last_byte_of_the_stamp_is_there():
    raw = HEAD + chunk(b"data: @1000\n\n") + chunk(b"data: @3000\n\n") + b"0\r\n\r\n"
    inside = raw.index(b"@3000") + 2
    body = Body([(2_000, raw[:inside]), (9_000, raw[inside:])])
    assert [round(lag * 1e9) for lag in lags(body)] == [1_000, 6_000]


def test_the_kernels_clock_counts_another_threads_work():
    before = process_cpu(os.getpid())
    thread = threading.Thread(target=sum, args=(range(300_000),))
    thread.start()
    thread.join()
    # The same clock as the process's own, which ended threads are part of.
    assert before < process_cpu(os.getpid()) <= time.process_time()


def a_report(*rows: Row) -> Report:
    plot = Plot("hot", "Hot", ["ours", "raw"], [1.0, 6.0], "µs", ["ours"])
    return Report("asgi", rows, {"hot": {}}, quick=True, rounds=5, plots=[plot])


def test_a_row_says_whether_it_is_met():
    value = spread([0.1, 0.2, 0.18])
    assert Row("asgi.hot.raw", "Hot", "ours / raw", value).met is True
    assert Row("asgi.hot.raw", "Hot", "ours / raw", 0.19).met is False
    assert Row("asgi.of.no.target", "Hot", "ours / raw", 99.0).met is None


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (0.0123, "0.0123"), (1.234, "1.23"), (99.94, "99.9"), (1234.5, "1,234")],
)
def test_three_digits_count(value: float, text: str):
    assert figure(value) == text


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "performance.md"
    names = ("machine", "targets", "asgi")
    blocks = [f"<!-- bench:{name} -->\nold\n<!-- /bench:{name} -->" for name in names]
    path.write_text("\n\n".join(["before", *blocks, "after"]))
    return path


def test_the_page_gets_tables_plots_and_targets_and_keeps_the_rest(page: Path):
    report = a_report(
        Row("asgi.hot.raw", "Hot", "ours / raw", spread([0.1])),
        Row("asgi.paced.raw", "Paced", "ours / raw", spread([2.0])),
    )
    results = page.parent / "results"
    report.write_json(results / "asgi.json")
    docs.write_report(report, page, results)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert "| ours / raw | 0.1 x | 0.1 to 0.1 | 0.18 | met |" in text
    assert f"| {TARGETS['asgi.paced.raw'].what} | 1.25 x | 2 x | **not met** |" in text
    assert f"| {TARGETS['asgi.fairness'].what} | 10 |  | not measured |" in text
    assert "![Hot](performance/hot.svg)" in text
    assert ">raw</text>" in (page.parent / "performance" / "hot.svg").read_text()


def test_the_same_twice_writes_the_same(page: Path):
    report = a_report(Row("asgi.hot.raw", "Hot", "ours / raw", spread([0.1])))
    written = []
    for _ in range(2):
        docs.write_report(report, page, page.parent)
        written.append((page.read_text(), (page.parent / "performance/hot.svg").read_text()))
    assert written[0] == written[1]


def test_a_page_without_the_block_is_an_error(page: Path):
    with pytest.raises(ValueError, match="0 blocks <!-- bench:flask -->"):
        docs.write_block(page, "flask", "table")


def test_the_docs_page_has_a_block_for_each_script():
    text = (ROOT / "docs" / "performance.md").read_text()
    for name in [*SCRIPTS, "machine", "targets"]:
        assert text.count(f"<!-- bench:{name} -->") == 1, name


def test_the_committed_figures_have_what_the_page_tells():
    for path in docs.RESULTS.glob("*.json"):
        result = json.loads(path.read_text())
        assert result["name"] == path.stem
        assert {"date", "cpu", "cores", "python", "packages"} <= set(result["machine"])
        assert all({"key", "median", "unit", "target"} <= set(row) for row in result["rows"])


def test_a_part_does_not_replace_the_committed_figures(capsys: pytest.CaptureFixture[str]):
    whole = cli.parse("asgi", None, ["--quick"])
    assert whole.json == docs.RESULTS / "asgi.json"
    assert cli.parse("asgi", None, ["--only", "paced"]).json is None
    assert cli.parse("asgi", None, ["--tiny"]).json is None
    assert cli.parse("asgi", None, ["--tiny", "--json", "a.json"]).json == Path("a.json")
    with pytest.raises(SystemExit):
        cli.parse("asgi", None, ["--only", "paced", "--write-docs"])
    assert "the page would lose the rest" in capsys.readouterr().err
