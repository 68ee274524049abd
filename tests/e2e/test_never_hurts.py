"""Never raises, never recurses, never deadlocks: real processes that log from the worst places there are."""

from __future__ import annotations

import sys
import textwrap

import pytest

HEAD = """
import logging, sys, os, signal, threading, time, atexit
import otel_logging
otel_logging.configure()
log = logging.getLogger("app")
"""


@pytest.fixture(scope="module")
def program(launch):
    """Run a program to its end: `program(text, env={}, code=0)`."""

    def run(text, env=None, code=0, how="none"):
        given = {"OTEL_LOGS_EXPORTER": "local", "OTEL_TRACES_EXPORTER": "none", **(env or {})}
        process = launch([sys.executable, "-c", HEAD + textwrap.dedent(text)], how, given)
        assert process.wait() == code, process.describe()[-3000:]
        return process

    return run


def said(process):
    """Our own lines of trouble."""
    return [line for line in process.err.splitlines() if line.startswith("otel-logging:")]


class TestSignals:
    def test_a_storm_of_signals(self, program):
        """A handler that logs, fired thousands of times in the middle of everything: no deadlock, all books balance."""
        process = program("""
            logging.lastResort = None  # it would print what is dropped, and a stream cannot be entered twice
            fired = 0
            def on_alarm(number, frame):
                global fired
                fired += 1
                log.warning("signal %d", fired)
                if fired % 50 == 0:
                    otel_logging.force_flush(0.01)
                if fired < 1500:  # one after the other: a slow machine would be at nothing but signals otherwise
                    signal.setitimer(signal.ITIMER_REAL, 0.0005)
            signal.signal(signal.SIGALRM, on_alarm)
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            n = 0
            while fired < 1500:
                n += 1
                log.info("line %d", n, extra={"a": n, "b": "text"})
                if n % 100 == 0:
                    print("printed")
            otel_logging.force_flush()
            stats = otel_logging.stats()
            lost = stats["created"] - stats["exported"] - stats["held"] - sum(stats["dropped"].values())
            assert not lost, stats
            print("made", n + fired, "dropped", stats["dropped"], flush=True)
        """)
        last = process.out.splitlines()[-1]
        assert last.endswith("dropped {}"), process.err
        bodies = process.bodies()
        made = int(last.split()[1])
        arrived = [body for body in bodies if body.startswith(("signal ", "line "))]
        assert len(arrived) == made
        assert len(set(arrived)) == len(arrived)
        assert "Traceback" not in process.err

    def test_a_handler_that_raises(self, program):
        """An exception from a signal handler in the middle of a log call is the application's, and nothing stays locked."""
        process = program("""
            class Late(BaseException): pass
            def on_alarm(number, frame):
                raise KeyboardInterrupt
            signal.signal(signal.SIGALRM, on_alarm)
            seen = 0
            deadline = time.monotonic() + 20
            while seen < 100 and time.monotonic() < deadline:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005)
                    for n in range(200):
                        log.info("line %d", n)
                except KeyboardInterrupt:
                    seen += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            done = threading.Event()
            threading.Thread(target=lambda: (log.info("from another thread"), done.set())).start()
            assert done.wait(10)
            log.info("the last line")
        """)
        assert process.bodies()[-1] == "the last line"
        assert "from another thread" in process.bodies()


class TestForks:
    def test_forks_while_threads_log(self, program):
        """200 forks while eight threads log: each child can log, and ends; the parent's records arrive once."""
        process = program("""
            stop = threading.Event()
            def work(number):
                n = 0
                while not stop.is_set():
                    n += 1
                    log.info("thread %d line %d", number, n)
                    if n % 5 == 0:
                        time.sleep(0.001)
            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads: thread.start()
            children, codes = [], []
            for number in range(200):
                child = os.fork()
                if child == 0:
                    try:
                        for n in range(3):
                            log.warning("child %d line %d", number, n)
                        os._exit(0 if otel_logging.force_flush(20) else 8)
                    except BaseException:
                        os._exit(9)
                children.append(child)
                if len(children) == 10:
                    for child in children:
                        deadline = time.monotonic() + 25
                        while not (found := os.waitpid(child, os.WNOHANG))[0]:
                            if time.monotonic() > deadline:
                                os.kill(child, signal.SIGKILL)
                                print("a child hangs", flush=True)
                                os._exit(7)
                            time.sleep(0.001)
                        codes.append(os.waitstatus_to_exitcode(found[1]))
                    children = []
            stop.set()
            for thread in threads: thread.join()
            assert codes == [0] * 200, codes
            print("children", len(codes), flush=True)
        """, {"LOG_CONSOLE": "errors"})  # fmt: skip
        bodies = process.bodies()
        children = {body for body in bodies if body.startswith("child ")}
        missing = {f"child {number} line {n}" for number in range(200) for n in range(3)} - children
        assert not missing, (missing, said(process))
        assert len([body for body in bodies if body.startswith("child ")]) == 600
        lines = [body for body in bodies if body.startswith("thread ")]
        assert len(lines) == len(set(lines))


class TestTheEnd:
    def test_del_and_atexit(self, program):
        """What is logged by `atexit` hooks and by `__del__` while the interpreter ends raises nothing and is printed."""
        process = program("""
            class Last:
                def __init__(self, name): self.name = name
                def __del__(self, log=log): log.warning("del of %s", self.name)
            kept = Last("a global")
            cycle = Last("a cycle"); cycle.me = cycle
            sys.modules["odd"] = Last("a module")
            atexit.register(lambda: log.warning("at exit"))
            threading._register_atexit(log.warning, "at threads' exit")
        """)
        for text in ("at exit", "at threads' exit", "del of a global", "del of a cycle", "del of a module"):
            assert text in process.out, process.describe()
        assert "Traceback" not in process.err
        assert "Exception ignored" not in process.err
        assert {"at exit", "at threads' exit"} <= set(process.bodies())

    @pytest.mark.parametrize("where", ["sys", "threading"])
    def test_excepthooks(self, program, where):
        """A hook for uncaught exceptions that logs them: they arrive with their stack, and the process ends as it would."""
        process = program(
            """
            def hook(*given):
                error = given[1] if len(given) == 3 else given[0].exc_value
                log.critical("uncaught", exc_info=error)
            sys.excepthook = threading.excepthook = hook
            def fails(): raise ValueError("the reason")
            """
            + (
                "fails()"
                if where == "sys"
                else "thread = threading.Thread(target=fails); thread.start(); thread.join()"
            ),
            code=1 if where == "sys" else 0,
        )
        (record,) = [record for record in process.records() if record["body"] == "uncaught"]
        assert "the reason" in record["attributes"]["exception.stacktrace"]
        assert "Traceback" not in process.err


class TestScarcity:
    def test_little_memory(self, program):
        """Under a limit of address space, with messages that do not fit: nothing raises, what fits arrives after it."""
        process = program("""
            import resource
            log.info("before")
            otel_logging.force_flush()
            with open("/proc/self/statm") as file:
                used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (used + 40_000_000, resource.RLIM_INFINITY))
            class Large:
                def __str__(self): return "x" * 100_000_000
            tried = 0
            for n in range(30):
                log.info("large %s", Large())
                try:
                    block = "é" * (3_000_000 + n * 500_000)
                except MemoryError:
                    continue
                tried += 1
                log.warning("%s", block, extra={"also": block})
                del block
            otel_logging.force_flush()
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            log.info("after %d", tried)
        """, {"LOG_CONSOLE": "errors"})  # fmt: skip
        bodies = process.bodies()
        assert bodies[0].startswith("LOGGING CONFIGURED")
        assert "before" in bodies
        assert bodies[-1].startswith("after ")
        assert any("MemoryError" in body for body in bodies if body.startswith("large "))
        assert "Traceback" not in process.err

    def test_little_stack(self, program):
        """At any depth of the stack where the library alone can log, logging with us raises nothing either."""
        process = program("""
            sys.setrecursionlimit(200)
            outcome = {}
            def down(left, at):
                if left:
                    return down(left - 1, at)
                try:
                    log.info("at %d", at, extra={"a": 1})
                    return "logged"
                except RecursionError:
                    return "raised"
            def depth():
                frame, n = sys._getframe(), 0
                while frame: frame, n = frame.f_back, n + 1
                return n
            room = 200 - depth()
            found = []
            for at in range(room - 80, room + 1):
                try:
                    found.append(down(at, at))
                except RecursionError:
                    found.append("no room")
            sys.setrecursionlimit(1000)
            log.info("after")
            otel_logging.force_flush()
            stats = otel_logging.stats()
            print(found.count("logged"), found.count("raised"), stats["dropped"], flush=True)
            lost = stats["created"] - stats["exported"] - stats["held"] - sum(stats["dropped"].values())
            print("lost", lost)
        """)
        print(process.out, process.err)
        logged, raised = (int(word) for word in process.out.splitlines()[-2].split()[:2])
        assert process.bodies()[-1] == "after"
        assert process.out.splitlines()[-1] == "lost 0"
        assert logged >= 50
        assert raised <= 12  # so few frames that the library itself has no room


class TestOwnWork:
    def test_a_processor_and_an_exporter_that_log(self, program):
        """What processors and exporters log about the records they work on never comes back to them."""
        process = program("""
            from opentelemetry._logs import get_logger_provider
            from opentelemetry.sdk._logs import LogRecordProcessor
            from otel_logging.boot import configure
            seen = []
            class Chatty(LogRecordProcessor):
                def on_emit(self, record):
                    seen.append(record.log_record.body)
                    log.error("processing %s", record.log_record.body)
                def shutdown(self): log.error("processor ends")
                def force_flush(self, timeout_millis=0):
                    log.error("processor flushes")
                    return True
            configure.configured().pipeline.provider.add_log_record_processor(Chatty())
            exporter = configure.configured().samplers[0]._processor._exporter
            export = exporter.export
            def chatty(batch):
                logging.getLogger("opentelemetry.sdk").error("exporting")
                logging.getLogger("urllib3").error("exporting")
                return export(batch)
            exporter.export = chatty
            for n in range(20):
                log.info("line %d", n)
                otel_logging.force_flush()
            assert len(seen) < 100, len(seen)
            stats = otel_logging.stats()
            print(stats["dropped"], flush=True)
        """)
        assert [body for body in process.bodies() if body.startswith("line ")] == [f"line {n}" for n in range(20)]
        assert not [body for body in process.bodies() if body.startswith("exporting")]

    def test_our_own_http_client_at_debug(self, program):
        """With everything at DEBUG on the root logger, what our own export makes others log feeds no further export."""
        process = program("""
            import http.server
            requests_seen = []
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    requests_seen.append(self.path)
                    self.rfile.read(int(self.headers["Content-Length"]))
                    self.send_response(200); self.end_headers()
                def log_message(self, *a): pass
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            otel_logging.shutdown()
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
            otel_logging.configure(logs_exporter="otlp", log_level="DEBUG", blrp_schedule_delay=20)
            import requests, httpx
            for name in ("", "urllib3", "requests", "httpx", "httpcore", "opentelemetry"):
                logging.getLogger(name).setLevel(logging.DEBUG)
            log.info("one line")
            otel_logging.force_flush()
            before = requests_seen.count("/v1/logs")
            settled = threading.Event()
            settled.wait(1.0)  # 50 times the delay after which a batch is sent
            otel_logging.force_flush()
            after = requests_seen.count("/v1/logs")
            print("requests", before, after, otel_logging.stats()["dropped"], flush=True)
        """)
        words = process.out.split("requests ")[-1].split()
        assert 1 <= int(words[0]) <= 3
        assert words[0] == words[1]
