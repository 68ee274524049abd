"""Live with what applications do to `logging`: levels, dictConfig's defaults, handlers of their own on the console.

Records reach our pipeline whatever handlers there are (see `bridge.gate`), so this module has three things left to do:
keep LOG_LEVEL and the quiet libraries in force, keep `dictConfig` from silencing loggers that it was never told about,
and keep the application's own console handlers from printing what our console has printed. All of it can be undone.
"""

from __future__ import annotations

import logging
import logging.config
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_logging.bridge import translate

if TYPE_CHECKING:
    from otel_logging.settings import Settings

QUIET: Final = (
    "aiohttp.access", "amqp", "asyncio", "azure", "boto3", "botocore", "celery.redirected", "deepgram", "elevenlabs",
    "engineio", "faster_whisper", "google", "grpc", "gunicorn.access", "h11", "h2", "hpack", "httpcore", "httpx",
    "hypercorn", "kombu", "multipart", "numba", "openai", "opentelemetry", "passlib", "pika", "requests", "s3transfer",
    "socketio", "sqlalchemy", "twilio", "urllib3", "uvicorn", "watchfiles", "websockets", "werkzeug",
)  # fmt: skip
"""Libraries whose records below WARNING are left out unless LOG_LEVEL is DEBUG."""

_CONSOLE_DESCRIPTORS: Final = frozenset({1, 2})
# How containers are made to log to their console with a FileHandler.
_CONSOLE_FILES: Final = frozenset(
    {"/dev/stdout", "/dev/stderr"}
    | {f"{folder}/{fd}" for folder in ("/dev/fd", "/proc/self/fd", "/proc/1/fd") for fd in (1, 2)}
)
_settings: Settings | None = None
_patched = False
_originals: dict[str, Any] = {}  # by name: what stood there before us, which may be another tool's patch
_file_config: Any = logging.config.fileConfig  # the function whose defaults we changed
_original_file_defaults = _file_config.__defaults__
_before: dict[str, tuple[int, int]] = {}  # by logger: its level as we found it, and as we set it
_disabled: tuple[int, int] | None = None  # the same of `logging.disable`


def install(settings: Settings) -> None:
    """Put LOG_LEVEL in force and patch what would undo it. A second call only exchanges the settings."""
    global _settings, _patched, _disabled, _file_config, _original_file_defaults
    _settings = settings
    root = logging.getLogger()
    if not _patched:
        _patched = True
        for owner, name, replacement in _PATCHES:
            found = getattr(owner, name)
            # Ours may be there still, under somebody else's patch.
            if name not in _originals or found is _originals[name]:
                _originals[name] = found
                setattr(owner, name, replacement)
        _file_config = logging.config.fileConfig
        _original_file_defaults = _file_config.__defaults__
        # (defaults, disable_existing_loggers, encoding): a change of the default reaches early importers too.
        if _original_file_defaults is not None:  # None: somebody's wrapper, which is left alone
            _file_config.__defaults__ = (None, False, *_original_file_defaults[2:])
    _put(root, settings.log_level)
    # Truthful for isEnabledFor, free of cost, and deaf to an application that sets single loggers to DEBUG.
    found = logging.root.manager.disable if _disabled is None else _disabled[0]
    _disabled = (found, settings.log_level - 1)
    logging.disable(_disabled[1])
    if not settings.debug:
        for name in QUIET:
            logger = logging.getLogger(name)
            _put(logger, max(logger.level, logging.WARNING))
        for logger in [item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)]:
            if logger.level and is_quiet(logger.name) and logger.name not in QUIET:
                _put(logger, max(logger.level, logging.WARNING))
    _remove_official_handlers(root)


def _put(logger: logging.Logger, level: int) -> None:
    name = "" if logger is logging.root else logger.name
    found = _before[name][0] if name in _before else logger.level
    _before[name] = (found, level)
    _originals["setLevel"](logger, level)


def uninstall() -> None:
    """Undo `install`: patches, levels, everything but what the application itself set since."""
    global _settings, _patched, _disabled
    _settings = None
    if not _patched:
        return
    _patched = False
    # Where somebody has patched on top of ours since, ours stays underneath and does nothing without settings.
    for owner, name, replacement in _PATCHES:
        if getattr(owner, name) is replacement:
            setattr(owner, name, _originals.pop(name))
    _file_config.__defaults__ = _original_file_defaults
    if _disabled is not None and logging.root.manager.disable == _disabled[1]:
        logging.disable(_disabled[0])
    _disabled = None
    for name, (found, put) in _before.items():
        logger = logging.getLogger(name or None)
        if logger.level == put:
            logger.setLevel(found)
    _before.clear()


def is_quiet(name: str) -> bool:
    """True for a library named in `QUIET` and for anything below it."""
    return any(name == quiet or name.startswith(quiet + ".") for quiet in QUIET)


def _set_level(self: logging.Logger, level: int | str) -> None:
    """`Logger.setLevel` under our two rules; everything else is the application's own business.

    A LOG_LEVEL that was given outright rules the root logger: samples call `basicConfig(level=INFO)` by habit, and the
    operator who sets LOG_LEVEL=DEBUG means it. Quiet libraries stay quiet: uvicorn sets its own loggers to INFO.
    """
    _originals["setLevel"](self, level)
    settings = _settings
    if settings is None:
        return
    if self is logging.root:
        if "log_level" in settings.given and self.level != settings.log_level:
            _originals["setLevel"](self, settings.log_level)
    elif not settings.debug and 0 < self.level < logging.WARNING and is_quiet(self.name):
        _originals["setLevel"](self, logging.WARNING)


def _configure(self: Any) -> None:
    """`dictConfig` that silences earlier loggers only when told so outright."""
    if _settings is not None and not self.config.get("incremental", False):
        self.config.setdefault("disable_existing_loggers", False)
    _originals["configure"](self)


def _handle(self: logging.Handler, record: logging.LogRecord) -> Any:
    """`Handler.handle`, but a console handler leaves out what our console has dealt with."""
    if _settings is not None and translate.MARK in record.__dict__ and prints_to_console(self):
        return False
    return _originals["handle"](self, record)


_PATCHES: Final[tuple[tuple[Any, str, Any], ...]] = (
    (logging.Logger, "setLevel", _set_level),
    (logging.Handler, "handle", _handle),
    (logging.config.DictConfigurator, "configure", _configure),
)


def prints_to_console(handler: logging.Handler) -> bool:
    """True if `handler` writes to this process's stdout or stderr: StreamHandler and its kin, and rich's handler."""
    if isinstance(handler, logging.FileHandler):
        return handler.baseFilename in _CONSOLE_FILES
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    if stream is None:
        return False
    if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        return True
    try:
        return stream.fileno() in _CONSOLE_DESCRIPTORS  # wrapped to change its encoding, say
    except Exception:
        return False  # a stream in memory, or something of the application's that only looks like a stream


def _remove_official_handlers(root: logging.Logger) -> None:
    """Our pipeline has taken over from handlers that an earlier boot step put on the root logger."""
    for handler in list(root.handlers):
        kind = type(handler)
        if kind.__name__ == "LoggingHandler" and kind.__module__.startswith("opentelemetry."):
            root.removeHandler(handler)
