"""Reading fields of a record."""

from __future__ import annotations

import pytest

from otel_logging.policy.model import ATTRIBUTE, RESOURCE, SCOPE_ATTRIBUTE, STANDARD_FIELDS, Field
from otel_logging.policy.view import ABSENT, LogView, id_bytes, reader

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class TestReader:
    @pytest.mark.parametrize("kind", [*STANDARD_FIELDS, "severity_number", "scope_name", "scope_version"])
    def test_an_empty_record_has_no_field(self, kind):
        """Every well-known field of an empty record is absent."""
        assert reader(Field(kind))(LogView()) is ABSENT
        assert reader(Field(kind))(LogView("", 0, "", event_name="", trace_id=0, span_id=b"")) is ABSENT

    def test_well_known_fields(self):
        """Each field is read from its place."""
        view = LogView(
            "text",
            9,
            "INFO",
            event_name="e",
            scope_name="s",
            scope_version="1",
            resource_schema_url="r",
            scope_schema_url="u",
        )
        kinds = {"body": "text", "severity_number": 9, "severity_text": "INFO", "event_name": "e", "scope_name": "s",
                 "scope_version": "1", "resource_schema_url": "r", "scope_schema_url": "u"}  # fmt: skip
        assert {kind: reader(Field(kind))(view) for kind in kinds} == kinds

    @pytest.mark.parametrize("given", [TRACE, TRACE.upper(), bytes.fromhex(TRACE), int(TRACE, 16)])
    def test_a_trace_id_in_any_form_is_its_bytes(self, given):
        """OTel's integer, bytes and hex text mean the same id."""
        assert reader(Field("trace_id"))(LogView(trace_id=given)) == bytes.fromhex(TRACE)

    @pytest.mark.parametrize("given", ["nonsense", -1, 1 << 200, [1, 999], 0.5, bytes(16)])
    def test_what_can_be_no_id_is_absent(self, given):
        """A wrong id is no id, and no error."""
        assert id_bytes(given, 16) is None

    def test_attributes_by_path(self):
        """A path walks nested maps; a dot in a key is part of the key; an empty value is there."""
        view = LogView(
            attributes={"http": {"method": "POST"}, "http.method": "GET", "empty": "", "none": None},
            resource_attributes={"service.name": "calls"},
            scope_attributes={"a": {"b": {"c": 1}}},
        )
        paths = {("http", "method"): "POST", ("http.method",): "GET", ("empty",): "", ("none",): None,
                 ("http", "verb"): ABSENT, ("empty", "x"): ABSENT, ("x", "y"): ABSENT}  # fmt: skip
        assert {path: reader(Field(ATTRIBUTE, path))(view) for path in paths} == paths
        assert reader(Field(RESOURCE, ("service.name",)))(view) == "calls"
        assert reader(Field(SCOPE_ATTRIBUTE, ("a", "b", "c")))(view) == 1
