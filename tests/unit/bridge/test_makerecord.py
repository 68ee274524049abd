"""Where the library would raise instead of making a record, it is made, with what was given under another name."""

from __future__ import annotations

import logging

import pytest

from otel_logging import trouble
from otel_logging.testing import capture


class BadCompare:
    def __eq__(self, other):
        raise RuntimeError("no equality")

    def __hash__(self):
        return 1


class NoTruth(dict):
    def __len__(self):
        raise RuntimeError("no length")


class TestMade:
    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            ({"message": "m"}, {"extra.message": "m"}), ({"name": "n", "other": 1}, {"extra.name": "n", "other": 1}),
            ({BadCompare(): "odd", "a": 1}, {"a": 1}), ("no mapping", {"extra": "no mapping"}), (5, {"extra": "5"}),
        ],
        ids=range(5),
    )  # fmt: skip
    def test_extra(self, extra, expected):
        """An extra that the library refuses costs nothing: the record has it under another name."""
        with capture() as sink:
            logging.getLogger("app").info("hello", extra=extra)
            (record,) = sink.records
            assert record.body == "hello"
            assert {key: str(record.attributes[key]) for key in expected} == {
                key: str(value) for key, value in expected.items()
            }
            assert record.attributes["code.function.name"] == "test_extra"
            assert trouble.counts()["extra"] == 1

    def test_arguments(self):
        """Arguments that cannot be asked whether they are empty are in the record, marked."""
        with capture() as sink:
            logging.getLogger("app").info("hello %s", NoTruth(a="inside"))
            (body,) = sink.bodies
            assert "hello" in body
            assert "inside" in body

    def test_ordinary_calls_are_the_librarys(self):
        """Factories of the application's own are asked first, and only once."""
        asked = []
        factory = logging.getLogRecordFactory()

        def mine(*args, **kwargs):
            asked.append(args)
            return factory(*args, **kwargs)

        logging.setLogRecordFactory(mine)
        try:
            with capture() as sink:
                logging.getLogger("app").info("hello", extra={"a": 1})
                assert sink.bodies == ["hello"]
        finally:
            logging.setLogRecordFactory(factory)
        assert len(asked) == 1

    def test_undone(self):
        """Afterwards the library raises as ever."""
        before = logging.Logger.makeRecord
        with capture():
            assert logging.Logger.makeRecord is not before
        assert logging.Logger.makeRecord is before
        with pytest.raises(KeyError, match="Attempt to overwrite"):
            logging.getLogger("app").warning("x", extra={"message": "m"})
