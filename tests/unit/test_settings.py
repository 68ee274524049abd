"""The table of settings: every row with good and bad values, each bad one answered by one clear sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from otel_logging import settings
from otel_logging.settings import Recorder, Secret, read

# row name, text as the environment gives it, what is read
GOOD = [
    ("log_level", "DEBUG", 10), ("log_level", " info ", 20), ("log_level", "Warn", 30), ("log_level", "warning", 30),
    ("log_level", "error", 40), ("log_level", "FATAL", 50), ("log_level", "critical", 50),
    ("log_json", "1", True), ("log_json", "true", True), ("log_json", "YES", True), ("log_json", "0", False), ("log_json", "off", False),
    ("log_console", "on", "on"), ("log_console", "ERRORS", "errors"), ("log_console", "off", "off"),
    ("log_capture_print", "1", True), ("log_capture_print", "no", False),
    ("enabled", "off", False), ("enabled", "0", False), ("enabled", "on", True),
    ("logs_exporter", "otlp", ("otlp",)), ("logs_exporter", "Local", ("local",)), ("logs_exporter", "console", ("console",)),
    ("logs_exporter", "none", ("none",)), ("logs_exporter", "otlp, local", ("otlp", "local")), ("logs_exporter", "otel_logging", ("otel_logging",)),
    ("service_name", "voice", "voice"), ("service_name", "קול", "קול"),
    ("otlp_protocol", "grpc", "grpc"), ("otlp_protocol", "HTTP/protobuf", "http/protobuf"),
    ("policies", "a.yaml, voice,", ("a.yaml", "voice")),
    ("privacy", "off", "off"), ("privacy", "secrets", "secrets"), ("privacy", "Strict", "strict"),
    ("pseudonym_key", " key ", b"key"),
    ("store", "/var/lib/x", Path("/var/lib/x")),
    ("spool", "off", "off"), ("spool", "on-failure", "on-failure"), ("spool", "always", "always"),
    ("recorder", "off", Recorder(enabled=False)), ("recorder", "on", Recorder()),
    ("recorder", "call=128KiB", Recorder(call_bytes=131072)), ("recorder", "call=1k, process=2 MB", Recorder(call_bytes=1024, process_bytes=2097152)),
    ("control", "/etc/x.json", "/etc/x.json"), ("control", "https://host/x", "https://host/x"),
    ("control_token", " s3cret ", Secret("s3cret")),
    ("propagate_to", "crm, api.internal", ("crm", "api.internal")), ("propagate_to", "none", ("none",)),
    ("propagate_to", "*.example.com,10.0.0.7,::1,[::1],*", ("*.example.com", "10.0.0.7", "::1", "[::1]", "*")),
    ("blrp_schedule_delay", "200", 200), ("blrp_max_queue_size", "10", 10),
    ("blrp_max_export_batch_size", "1", 1), ("blrp_export_timeout", "5000", 5000),
]  # fmt: skip

BAD = [
    ("log_level", "LOUD"), ("log_level", "15"), ("log_json", "maybe"), ("log_json", "2"), ("log_console", "yes please"),
    ("log_capture_print", "print"), ("enabled", "perhaps"), ("logs_exporter", "otpl"), ("logs_exporter", "none,otlp"),
    ("logs_exporter", ","), ("otlp_protocol", "http/json"), ("privacy", "none"), ("store", "a\x00b"), ("spool", "sometimes"),
    ("recorder", "big"), ("recorder", "call=lots"), ("recorder", "memory=1"), ("control", "http://host/x"),
    ("control", "https://"), ("control", "https:///x"), ("propagate_to", "a b"), ("propagate_to", "https://crm"),
    ("propagate_to", "crm:8080"), ("propagate_to", "none, crm"),
    ("blrp_schedule_delay", "0"), ("blrp_schedule_delay", "-5"), ("blrp_max_queue_size", "many"),
    ("blrp_max_export_batch_size", "1.5"), ("blrp_export_timeout", "never"), ("log_level", "x" * 10_000),
]  # fmt: skip

ROWS = {row.name: row for row in settings.TABLE}
# rows that take any text, or whose wrong values are tried in TestSecrets
FREE = {"service_name", "policies", "pseudonym_key", "control_token"}


class TestSecrets:
    def test_a_token_is_never_shown(self):
        """The control token is in no repr and in no sentence, be it right or wrong."""
        right = read({"control_token": "s3cret"}, {})
        wrong = read({}, {"OTEL_LOGGING_CONTROL_TOKEN": "s3cret\x01"})
        assert right.control_token.reveal() == "s3cret"
        assert wrong.control_token is None
        assert "OTEL_LOGGING_CONTROL_TOKEN=***" in wrong.problems[0]
        assert "s3cret" not in f"{right} {right!r} {right.control_token} {wrong!r} {wrong.problems}"


class TestRows:
    @pytest.mark.parametrize(("name", "text", "expected"), GOOD)
    def test_a_good_value_in_the_environment(self, name, text, expected):
        """A valid value is read from its variable, and nothing is said about it."""
        found = read({}, {ROWS[name].variable: text, "HOME": "/home/x"})
        assert getattr(found, name) == expected
        assert found.problems == ()
        assert name in found.given

    @pytest.mark.parametrize(("name", "text", "expected"), GOOD)
    def test_a_good_value_as_keyword(self, name, text, expected):
        """The same value as a keyword of `configure()`, by row name, variable or lower-case variable."""
        for keyword in (name, ROWS[name].variable, ROWS[name].variable.lower()):
            assert getattr(read({keyword: text}, {}), name) == expected

    @pytest.mark.parametrize(("name", "text"), BAD)
    def test_a_bad_value_is_one_sentence_and_the_default(self, name, text):
        """A wrong value gives one sentence: the variable, the value, what is valid, what is used; the default stands."""
        found = read({}, {ROWS[name].variable: text, "HOME": "/home/x"})
        default = read({}, {"HOME": "/home/x"})
        assert getattr(found, name) == getattr(default, name)
        assert len(found.problems) == 1
        (sentence,) = found.problems
        assert sentence.startswith(f"{ROWS[name].variable}=")
        assert repr(text)[:20] in sentence
        assert "is not valid; " in sentence
        assert sentence.endswith(f"using {ROWS[name].default}")
        assert "valid" in sentence.partition("is not valid; ")[2] or "stands alone" in sentence
        assert "\n" not in sentence
        assert len(sentence) < 400
        assert name not in found.given

    def test_every_row_is_tried(self):
        """No row of the table is without good values, nor without bad ones where there can be any."""
        assert {name for name, _, _ in GOOD} == set(ROWS)
        assert {name for name, _ in BAD} == set(ROWS) - FREE

    @pytest.mark.parametrize("row", settings.TABLE, ids=lambda row: row.name)
    def test_empty_counts_as_unset(self, row):
        """A variable that is set to nothing means its default, as OTel defines it."""
        env = {"HOME": "/home/x"}
        assert read({}, {**env, row.variable: " "}) == read({}, env)
        assert read({}, {**env, row.variable: ""}).problems == ()

    def test_rows_are_complete(self):
        """Each row says in a sentence what it is for, under a unique name and variable."""
        assert len({row.variable for row in settings.TABLE}) == len(settings.TABLE) == len(ROWS)
        for row in settings.TABLE:
            assert row.sentence.endswith(".")
            assert row.default

    def test_several_bad_values_are_several_sentences(self):
        """Each wrong value is answered, and the good ones beside it stand."""
        found = read({}, {"LOG_LEVEL": "LOUD", "LOG_JSON": "maybe", "LOG_CONSOLE": "off"})
        assert len(found.problems) == 2
        assert found.log_console == "off"


class TestKeywords:
    def test_an_unknown_keyword_is_a_type_error_that_lists_the_names(self):
        """A misspelt keyword fails at once and says which there are."""
        with pytest.raises(TypeError, match=r"'log_levle'.*log_level.*blrp_export_timeout"):
            read({"log_levle": "DEBUG"}, {})

    def test_an_unknown_keyword_fails_even_without_a_value(self):
        """A misspelt keyword fails also when its value is None."""
        with pytest.raises(TypeError):
            read({"log_levle": None}, {})

    def test_none_is_not_given(self):
        """None leaves the setting to the environment."""
        assert read({"log_level": None}, {"LOG_LEVEL": "ERROR"}).log_level == 40

    def test_keywords_win(self):
        """A keyword wins over the environment."""
        assert read({"log_level": "DEBUG"}, {"LOG_LEVEL": "ERROR"}).log_level == 10

    def test_python_values(self):
        """Keywords take Python values: level numbers, booleans, lists, paths, a Recorder."""
        found = read(
            {
                "log_level": 10, "log_json": True, "log_console": False, "logs_exporter": ["local"], "store": Path("/x"),
                "recorder": Recorder(call_bytes=1), "policies": ("a", "b"), "enabled": True, "blrp_max_queue_size": 5,
            },
            {},
        )  # fmt: skip
        assert dataclasses.replace(found, given=frozenset()) == dataclasses.replace(
            read({}, {}), log_level=10, log_json=True, log_console="off", logs_exporter=("local",), store=Path("/x"),
            recorder=Recorder(call_bytes=1), policies=("a", "b"), blrp_max_queue_size=5, given=frozenset(),
        )  # fmt: skip
        assert found.problems == ()

    @pytest.mark.parametrize(
        "bad",
        [
            {"log_level": 15}, {"log_level": True}, {"log_level": []}, {"logs_exporter": 7}, {"log_json": object()},
            {"store": ""}, {"blrp_max_queue_size": 1.5}, {"policies": 3}, {"recorder": {}}, {"log_console": 2},
        ],
        ids=lambda value: str(value).partition(" at 0x")[0],
    )  # fmt: skip
    def test_a_keyword_of_the_wrong_type_is_a_sentence(self, bad):
        """A keyword's wrong value never raises either."""
        found = read(bad, {"HOME": "/home/x"})
        assert len(found.problems) == 1
        assert dataclasses.replace(found, problems=()) == read({}, {"HOME": "/home/x"})

    def test_a_value_without_text_is_a_sentence(self):
        """A keyword whose value cannot even be shown does not raise."""

        class Broken:
            def __str__(self):
                raise RuntimeError("no text")

            __repr__ = __str__

        assert len(read({"log_level": Broken()}, {}).problems) == 1


class TestDependentDefaults:
    @pytest.mark.parametrize(
        ("env", "expected"),
        [
            ({}, ("console",)),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp",)),
            ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318/v1/logs"}, ("otlp",)),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ("console",)),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_LOGS_EXPORTER": "none"}, ("none",)),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, ("console",)),
        ],
    )
    def test_exporter(self, env, expected):
        """Without OTEL_LOGS_EXPORTER: otlp if a logs endpoint is set, else the console only; never the store."""
        assert read({}, env).logs_exporter == expected

    @pytest.mark.parametrize(
        ("env", "expected"),
        [
            ({}, "unknown_service"),
            ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=my%20voice"}, "my voice"),
            ({"OTEL_RESOURCE_ATTRIBUTES": "service.name="}, "unknown_service"),
            ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, "b"),
        ],
    )
    def test_service_name(self, env, expected):
        """OTEL_SERVICE_NAME wins over the resource attribute, which wins over the default."""
        assert read({}, env).service_name == expected

    def test_the_logs_protocol_wins_over_the_general_one(self):
        """OTEL_EXPORTER_OTLP_LOGS_PROTOCOL is the one that counts for logs, and is named when it is wrong."""
        env = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"}
        assert read({}, env).otlp_protocol == "grpc"
        (sentence,) = read({}, {**env, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "morse"}).problems
        assert sentence.startswith("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL='morse'")

    @pytest.mark.parametrize("text", ["true", "TRUE", " True "])
    def test_sdk_disabled_is_the_kill_switch_too(self, text):
        """OTEL_SDK_DISABLED=true makes everything inert."""
        assert not read({}, {"OTEL_SDK_DISABLED": text}).enabled
        assert not read({"enabled": True}, {"OTEL_SDK_DISABLED": text}).enabled

    @pytest.mark.parametrize("text", ["false", "1", "yes", ""])
    def test_only_true_disables_the_sdk(self, text):
        """Any other value of OTEL_SDK_DISABLED means false, as OTel defines it."""
        assert read({}, {"OTEL_SDK_DISABLED": text}).enabled

    def test_the_store_is_in_the_state_folder(self):
        """By default the store is in the user's state folder."""
        assert read({}, {"XDG_STATE_HOME": "/s"}).store == Path("/s/otel-logging")
        assert read({}, {"HOME": "/home/x"}).store == Path("/home/x/.local/state/otel-logging")

    def test_no_home_is_no_store_unless_one_is_asked_for(self):
        """A container without HOME has no store, and says nothing; asked for `local`, it uses a temporary folder and says so."""
        assert (read({}, {}).store, read({}, {}).problems) == (None, ())
        found = read({"logs_exporter": "local"}, {})
        assert found.store is not None
        (sentence,) = found.problems
        assert sentence.startswith("OTEL_LOGGING_STORE is not set")
        assert str(found.store) in sentence

    def test_neither_home_nor_temporary_folder(self, monkeypatch):
        """A read-only container has no temporary folder either: reading the settings does not raise."""

        def none_usable():
            raise FileNotFoundError(2, "No usable temporary directory found")

        monkeypatch.setattr("tempfile.gettempdir", none_usable)
        found = read({"logs_exporter": "local"}, {})
        assert found.store is not None
        assert len(found.problems) == 1

    def test_debug(self):
        """`debug` holds at LOG_LEVEL=DEBUG only; the level has its name."""
        assert read({"log_level": "DEBUG"}, {}).debug
        assert not read({}, {}).debug
        assert read({"log_level": 50}, {}).level_name == "CRITICAL"

    def test_a_foreign_provider_is_used_when_asked_for(self):
        """OTEL_CONFIG_FILE or OTEL_LOGS_EXPORTER=otel_logging mean the application's own provider."""
        assert read({}, {"OTEL_CONFIG_FILE": "x.yaml"}).foreign_provider
        assert read({}, {"OTEL_LOGS_EXPORTER": "otel_logging"}).foreign_provider
        assert not read({}, {"OTEL_CONFIG_FILE": " "}).foreign_provider


class TestEquality:
    def test_the_same_settings_are_equal_whatever_was_wrong(self):
        """Sentences about wrong values do not make two readings differ: a second `configure()` stays a no-op."""
        assert read({}, {"LOG_JSON": "maybe"}) == read({}, {})

    def test_frozen(self):
        """Nobody can change what has been read."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            read({}, {}).log_level = 10


class TestForeignDefaults:
    @pytest.fixture
    def initial(self, monkeypatch):
        """The names that the process was started with."""
        names: set[str] = set()
        monkeypatch.setattr(settings, "_initial_environ", lambda: names)
        return names

    def test_what_a_distro_filled_in_does_not_count(self, monkeypatch, initial):
        """A distro's OTEL_LOGS_EXPORTER and protocol, set before our hook, are read as unset."""
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        settings.note_foreign_defaults()
        found = read()
        assert (found.logs_exporter, found.otlp_protocol) == (("console",), "http/protobuf")
        assert "logs_exporter" not in found.given

    def test_what_the_user_set_counts(self, monkeypatch, initial):
        """A variable that the process received is the user's, whatever its value."""
        initial.add("OTEL_LOGS_EXPORTER")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        settings.note_foreign_defaults()
        assert read().logs_exporter == ("otlp",)

    def test_what_the_application_sets_later_counts(self, monkeypatch, initial):
        """A value set after our hook, also over the distro's, is the application's own."""
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        settings.note_foreign_defaults()
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        assert (read().logs_exporter, read().otlp_protocol) == (("none",), "grpc")

    def test_children_are_told(self, monkeypatch, initial):
        """A child process receives the distro's value as if set; the note in the environment tells it better."""
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        settings.note_foreign_defaults()
        initial.update({"OTEL_LOGS_EXPORTER", settings.FOREIGN_DEFAULTS})
        settings.note_foreign_defaults()
        assert read().logs_exporter == ("console",)

    def test_nothing_to_note_leaves_no_trace(self, monkeypatch, initial):
        """Without a distro the environment is left as it is."""
        import os

        settings.note_foreign_defaults()
        assert settings.FOREIGN_DEFAULTS not in os.environ

    def test_a_platform_that_does_not_tell(self, monkeypatch):
        """Where the initial environment is not known, nothing is taken for a distro's."""
        monkeypatch.setattr(settings, "_initial_environ", lambda: None)
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        settings.note_foreign_defaults()
        assert read().logs_exporter == ("otlp",)

    def test_the_initial_environment_is_the_kernels(self, monkeypatch):
        """What this process sets for itself is not in its initial environment."""
        monkeypatch.setenv("SET_BY_THIS_TEST", "1")
        names = settings._initial_environ()
        assert names is None or ("PATH" in names and "SET_BY_THIS_TEST" not in names)

    def test_a_garbled_note_is_harmless(self, monkeypatch):
        """A note that nobody of ours wrote changes nothing and raises nothing."""
        monkeypatch.setenv(settings.FOREIGN_DEFAULTS, ",,=,x,OTEL_LOGS_EXPORTER")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
        assert read().logs_exporter == ("none",)
