"""An application that does to `logging` what applications do. Which of it: the first argument.

What must come out goes to the file `expected`, one message a line with its count: 1 for exactly once, 0 for never.
"""

import os
import sys
from logging.config import dictConfig as early_dict_config  # before anything of otel-logging is imported

if os.environ.get("BOOT_AUTO"):
    import otel_logging.auto  # noqa: F401

import builtins
import logging
import logging.config
import warnings

VARIANT = sys.argv[1]
expected: dict[str, int] = {}
late = logging.getLogger("late")


def once(message: str) -> str:
    message += ";"  # so that no message is part of another
    expected[message] = 1
    return message


def never(message: str) -> str:
    message += ";"
    expected[message] = 0
    return message


def log(tag: str, *loggers: logging.Logger) -> None:
    """One message at each level that is printed, per logger."""
    for logger in loggers or (logging.getLogger(), logging.getLogger("app"), logging.getLogger("app.sub")):
        logger.debug(never(f"{tag} debug of {logger.name}"))
        logger.info(once(f"{tag} info of {logger.name}"))
        logger.warning(once(f"{tag} warning of {logger.name}"))
        logger.error(once(f"{tag} error of {logger.name}"))


def scheme(**more):
    return {
        "version": 1,
        "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"}},
        "root": {"level": "INFO", "handlers": ["console"]},
        "loggers": {"app": {"level": "DEBUG", "handlers": ["console"]}},
        **more,
    }


def plain():
    logging.basicConfig(level=logging.INFO)
    log("plain")
    try:
        raise ValueError("plain exception")
    except ValueError:
        logging.getLogger("app").exception(once("plain caught"))
    logging.captureWarnings(True)
    warnings.warn("plain warned", stacklevel=1)


def unconfigured():
    logging.info(once("unconfigured info"))
    logging.getLogger("app").warning(once("unconfigured warning"))


def dict_config():
    early = logging.getLogger("early")
    log("before", early)
    logging.config.dictConfig(scheme())
    log("after", early, logging.getLogger(), logging.getLogger("app"), logging.getLogger("app.sub"))


def dict_config_false():
    early = logging.getLogger("early")
    logging.config.dictConfig(scheme(disable_existing_loggers=False))
    log("after", early, logging.getLogger("app"))


def dict_config_true():
    early = logging.getLogger("early")
    logging.config.dictConfig(scheme(disable_existing_loggers=True))
    log("after", logging.getLogger("app"), logging.getLogger("made.later"))
    early.error(never("silenced"))


def early_import():
    early = logging.getLogger("early")
    early_dict_config(scheme())
    log("after", early, logging.getLogger("app"))


def configurator_class():
    early = logging.getLogger("early")
    logging.config.dictConfigClass(scheme()).configure()
    log("after", early, logging.getLogger("app"))


def incremental():
    logging.basicConfig(level=logging.INFO)
    logging.config.dictConfig({"version": 1, "incremental": True, "loggers": {"app": {"level": "INFO"}}})
    log("after", late, logging.getLogger("app"))


def file_config():
    early = logging.getLogger("early")
    with open("logging.ini", "w") as file:
        file.write(
            "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\nlevel=INFO\nhandlers=h\n"
            "[handler_h]\nclass=StreamHandler\nargs=(sys.stdout,)\n"
        )
    logging.config.fileConfig("logging.ini")
    log("after", early, logging.getLogger("app"))


def basic_force():
    logging.basicConfig(level=logging.INFO)
    log("before")
    logging.basicConfig(level=logging.INFO, force=True, stream=sys.stdout, format="%(message)s")
    log("after")


def clear_handlers():
    root = logging.getLogger()
    root.handlers.clear()
    root.addHandler(logging.StreamHandler(sys.stdout))
    root.setLevel(logging.INFO)
    log("after")


def replace_handlers():
    class Intercept(logging.Handler):
        def emit(self, record):
            intercepted.append(record.getMessage())

    intercepted: list[str] = []
    logging.root.handlers = [Intercept()]
    logging.root.setLevel(logging.INFO)
    log("after")
    missing = [message for message, count in expected.items() if count and intercepted.count(message) != 1]
    assert not missing, missing


def propagate_false():
    logging.basicConfig(level=logging.INFO)
    mute = logging.getLogger("mute")
    mute.propagate = False
    own = logging.getLogger("own")
    own.propagate = False
    own.setLevel(logging.INFO)
    own.addHandler(logging.StreamHandler())
    both = logging.getLogger("both")
    both.addHandler(logging.StreamHandler(sys.stdout))
    log("after", mute, own, both, logging.getLogger("own.child"))


def own_file():
    handler = logging.FileHandler("own.log")
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    log("after")
    handler.close()
    with open("own.log") as file:
        lines = file.read().splitlines()
    wrong = [message for message, count in expected.items() if lines.count(message) != count]
    assert not wrong, wrong


def quiet_module():
    logging.basicConfig(level=logging.INFO)
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.WARNING)
    quiet.info(never("quiet info"))
    quiet.warning(once("quiet warning"))


def prints():
    print(once("printed line"))
    print(once("printed"), file=sys.stdout, flush=True)
    print(once("partial ") + "and", end=" ")
    print("its rest")


def prints_replaced():
    genuine = builtins.print

    def mine(*args, **kwargs):
        genuine("[app]", *args, **kwargs)

    builtins.print = mine
    print(once("through mine"))


def prints_to_logger():
    def to_logger(*args, **_kwargs):
        logging.getLogger("app").info(" ".join(map(str, args)))

    logging.basicConfig(level=logging.INFO)
    builtins.print = to_logger
    print(once("printed into logging"))


globals()[VARIANT]()
with open("expected", "w") as file:
    file.writelines(f"{count} {message}\n" for message, count in expected.items())
