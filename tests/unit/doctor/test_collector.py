"""What a Collector tells of itself is read as it is told, and only where it may be asked."""

from __future__ import annotations

import http.server
import threading

import pytest

from otel_logging.doctor import collector
from otel_logging.doctor.finding import FAILED, OK, SKIPPED, WARNING

METRICS = """\
# HELP otelcol_exporter_sent_log_records Number of log records
# TYPE otelcol_exporter_sent_log_records counter
otelcol_exporter_queue_size{data_type="logs",exporter="otlp_http/x"} 2
otelcol_exporter_queue_size{data_type="traces",exporter="otlp_http/x"} 7
otelcol_exporter_sent_log_records{exporter="file",otel_scope_name="a"} 3
otelcol_exporter_sent_log_records__records__total{exporter="otlp_http/x",service_instance_id="b"} 4
otelcol_exporter_send_failed_log_records_total{exporter="otlp_http/x"} 1e+0
otelcol_receiver_accepted_log_records{receiver="otlp",transport="http"} 1
otelcol_receiver_accepted_log_records{receiver="otlp",transport="grpc"} 2
otelcol_process_uptime_seconds_total 5
"""


@pytest.fixture
def page():
    """Serve one page: `page(status, text)` gives its URL."""
    servers = []

    def make(status, text=""):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


class TestFigures:
    def test_are_read(self, page):
        """Names with and without units and `_total`, of log records only, added up over what else tells them apart."""
        assert collector.figures(page(200, METRICS)) == {
            ("queue", "otlp_http/x"): 2.0,
            ("sent", "file"): 3.0,
            ("sent", "otlp_http/x"): 4.0,
            ("failed", "otlp_http/x"): 1.0,
            ("accepted", ""): 3.0,
        }

    @pytest.mark.parametrize(("status", "text"), [(200, "<html>"), (404, METRICS), (302, METRICS)])
    def test_another_page_is_none(self, page, status, text):
        """What is no Collector's metrics page is not taken for one."""
        assert collector.figures(page(status, text)) is None

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/metrics", "nonsense", "http://[::1", "http:///x"])
    def test_nobody_there(self, url):
        """Where nothing answers there are none, and nothing raises."""
        assert collector.figures(url) is None


class TestHealth:
    @pytest.mark.parametrize(("status", "verdict"), [(200, OK), (503, FAILED)])
    def test_what_it_says(self, page, status, verdict):
        """Ready or not, as it says."""
        finding, answered = collector.health_finding(page(status), "collector", own=True)
        assert (finding.verdict, answered.status) == (verdict, status)

    def test_named_and_not_there(self):
        """Where somebody named it, its silence is a failure."""
        finding, answered = collector.health_finding("http://127.0.0.1:1/", "collector", own=True)
        assert (finding.verdict, answered) == (FAILED, None)

    def test_usual_port_and_not_there(self, monkeypatch):
        """Where nobody named it, it may just not be there."""
        asked = []
        monkeypatch.setattr(collector, "get", lambda url: asked.append(url))
        finding, _ = collector.health_finding(None, "::1", own=True)
        assert (finding.verdict, asked) == (WARNING, ["http://[::1]:13133/"])

    def test_a_stranger_is_not_asked(self, monkeypatch):
        """No other port of a vendor's host is tried."""
        monkeypatch.setattr(collector, "get", lambda url: pytest.fail("asked"))
        assert collector.health_finding(None, "otlp.datadoghq.com", own=False)[0].verdict == SKIPPED


class TestWritten:
    def test_in_files_and_folders(self, tmp_path):
        """A file by its name, or any JSON file below a folder; what cannot be read is passed over."""
        (tmp_path / "a.jsonl").write_text("doctor-1\n")
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "c.json").write_text("doctor-2\n")
        assert collector.written("doctor-1", [tmp_path / "a.jsonl"]) == tmp_path / "a.jsonl"
        assert collector.written("doctor-2", [tmp_path / "none", tmp_path]) == tmp_path / "b" / "c.json"
        assert collector.written("doctor-3", [tmp_path]) is None

    def test_the_end_of_a_large_file(self, tmp_path):
        """Only the end is read: what was written just now is there."""
        path = tmp_path / "large.jsonl"
        with path.open("wb") as stream:
            stream.write(b"doctor-old\n")
            stream.seek(9 * 1024 * 1024)
            stream.write(b"doctor-new\n")
        assert collector.written("doctor-new", [path]) == path
        assert collector.written("doctor-old", [path]) is None
