"""`otel-logging serve`: the calls of the store as pages in a browser, on this machine only. Needs the extra `web`."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

from otel_logging.cli import DONE, NOTHING, USAGE, common

if TYPE_CHECKING:
    import argparse

PORT = 8321
TOKEN_VARIABLE, HOSTS_VARIABLE = "OTEL_LOGGING_SERVE_TOKEN", "OTEL_LOGGING_SERVE_HOSTS"
_OURS = "otel_logging"


def main(argv: list[str]) -> int:
    """Serve until interrupted; 1 if the port is taken, 2 for wrong usage or a missing extra."""
    args = parser().parse_args(argv)
    store = common.store_of(args)
    token = os.environ.get(TOKEN_VARIABLE) or None
    try:
        import uvicorn

        from otel_logging.web.access import LOOPBACK, SHORTEST, Guard
        from otel_logging.web.app import application
        from otel_logging.web.upkeep import Upkeep
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", _OURS}:
            raise
        common.tell(f"the page needs {missing}, which is not installed: pip install 'otel-logging[web]'")
        return USAGE
    if token is not None and len(token) < SHORTEST:
        common.tell(f"{TOKEN_VARIABLE} is too short to be a secret; it needs at least {SHORTEST} characters")
        return USAGE
    if not _is_loopback(args.host) and token is None:
        common.tell(
            f"--host {args.host} can be reached from other machines, and call logs hold what people said: it is meant "
            f"for containers, and only with a token of yours in {TOKEN_VARIABLE}"
        )
        return USAGE
    try:
        listener = _listen(args.host, args.port)
    except OSError as error:
        common.tell(f"cannot listen on {args.host} port {args.port}: {error.strerror or error}")
        return NOTHING
    port = listener.getsockname()[1]
    shown = "localhost" if not _is_loopback(args.host) else f"[{args.host}]" if ":" in args.host else args.host

    def tell_address(secret: str) -> None:
        url = f"http://{shown}:{port}/?token={secret}"
        if args.json:
            common.print_json([{"url": url, "store": str(store)}])
        else:
            print(f"  {url}")
        sys.stdout.flush()

    names = [*LOOPBACK, *(name.strip() for name in os.environ.get(HOSTS_VARIABLE, "").split(",") if name.strip())]
    app = application(store, stopping=lambda: server.should_exit)
    guard = Guard(app, hosts=names, token=token, spent=tell_address)
    config = uvicorn.Config(
        guard, log_level="warning", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    upkeep = Upkeep(store)
    if not args.json:
        print(f"The calls of {store}. Ctrl C ends it. Open in your browser:")
    # A token from the environment is known to whoever set it, and a container's log is no place for it.
    tell_address(guard.token if token is None else f"${TOKEN_VARIABLE}")
    upkeep.start()
    try:
        server.run(sockets=[listener])
    finally:
        upkeep.stop()
    return DONE


def parser() -> argparse.ArgumentParser:
    """The command line of the verb."""
    made = common.parser("serve", "Show the calls of the store in a browser, on this machine only, until Ctrl C.")
    made.add_argument("--port", type=common.count, default=PORT, metavar="N", help=f"default {PORT}; 0: any free one")
    made.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help=f"for containers: another address than loopback, only with a token in {TOKEN_VARIABLE}",
    )
    made.add_argument("--json", action="store_true", help="one JSON object with the address")
    return made


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    if port > 65_535:
        raise OSError(0, "a port is at most 65535")
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
