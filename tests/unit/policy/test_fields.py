"""Field selectors and typed values, in every accepted spelling."""

from __future__ import annotations

import pytest

from otel_logging.policy.fields import Wrong, numeric_value, selector, snake, typed_value
from otel_logging.policy.model import ATTRIBUTE, RESOURCE, SCOPE_ATTRIBUTE, Field


class TestSelector:
    @pytest.mark.parametrize("spelling", ["body", "LOG_FIELD_BODY", "Log_Field_Body", 1])
    def test_log_fields_by_any_name(self, spelling):
        """Short, canonical and numeric names of a field mean the same."""
        assert selector({"log_field": spelling}) == Field("body")

    @pytest.mark.parametrize("spelling", [["http", "method"], {"path": ["http", "method"]}])
    def test_attribute_paths(self, spelling):
        """A path may be canonical or a plain list."""
        assert selector({"log_attribute": spelling}) == Field(ATTRIBUTE, ("http", "method"))

    def test_attribute_shorthand(self):
        """A string is a path of one segment, dots and all, for each kind of attribute."""
        assert selector({"resource_attribute": "service.name"}) == Field(RESOURCE, ("service.name",))
        assert selector({"scope_attribute": {"path": "lib"}}) == Field(SCOPE_ATTRIBUTE, ("lib",))

    @pytest.mark.parametrize(
        ("parts", "said"),
        [
            ({}, "no field set"),
            ({"log_field": "body", "log_attribute": "x"}, "more than one field set"),
            ({"log_field": "LOG_FIELD_UNSPECIFIED"}, "field is unspecified"),
            ({"log_field": 0}, "field is unspecified"),
            ({"log_field": "bodi"}, "unknown log_field 'bodi'; valid: body, "),
            ({"log_field": 99}, "unknown log_field 99"),
            ({"log_field": True}, "must be a name"),
            ({"log_field": ["body"]}, "must be a name, not a list"),
            ({"log_attribute": []}, "attribute has empty path"),
            ({"log_attribute": {}}, "attribute has empty path"),
            ({"log_attribute": ""}, "attribute has empty path"),
            ({"log_attribute": ["a", ""]}, "attribute has empty path"),
            ({"log_attribute": ["a", 1]}, "a string or a list of strings"),
            ({"log_attribute": {"pathe": ["a"]}}, "unknown field 'pathe'"),
        ],
    )
    def test_wrong_selectors_are_explained(self, parts, said):
        """Each wrong selector has a sentence of its own."""
        with pytest.raises(Wrong) as error:
            selector(parts)
        assert said in str(error.value)


class TestSnake:
    def test_both_conventions(self):
        """Keys in camelCase and snake_case are the same, and null means not set."""
        assert snake(
            {"caseInsensitive": True, "starts_with": "a", "endsWith": None},
            ("case_insensitive", "starts_with", "ends_with"),
            "x",
        ) == {
            "case_insensitive": True,
            "starts_with": "a",
        }

    def test_the_same_key_in_both_is_an_error(self):
        """A key that is given in both conventions is not guessed at."""
        with pytest.raises(Wrong, match="given twice"):
            snake({"logField": 1, "log_field": 1}, ("log_field",), "x")


class TestTypedValue:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("x", "x"),
            (True, True),
            (200, 200),
            (0.5, 0.5),
            ({"string_value": "x"}, "x"),
            ({"stringValue": ""}, ""),
            ({"bool_value": False}, False),
            ({"int_value": 5}, 5),
            ({"intValue": "9007199254740993"}, 9007199254740993),
            ({"double_value": "Infinity"}, float("inf")),
            ({"double_value": 1}, 1.0),
            ({"hex_value": "DEADbeef"}, b"\xde\xad\xbe\xef"),
            ({"hex_value": ""}, b""),
            ({"bytes_value": "3q2+7w=="}, b"\xde\xad\xbe\xef"),
            ({"bytesValue": "3q2-7w"}, b"\xde\xad\xbe\xef"),
        ],
    )
    def test_shorthand_and_canonical(self, given, meant):
        """The literal's type or the canonical key says the type."""
        value = typed_value(given)
        assert (value, type(value)) == (meant, type(meant))

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (None, "not nothing"),
            ([1], "not a list"),
            ({}, "value is unset"),
            ({"int_value": None}, "value is unset"),
            ({"int_value": 1, "bool_value": True}, "more than one value"),
            ({"hex_value": "xyz"}, 'invalid hex_value "xyz"'),
            ({"hex_value": "abc"}, "invalid hex_value"),
            ({"hex_value": "ab cd"}, "invalid hex_value"),
            ({"hex_value": 12}, "must be a string"),
            ({"bytes_value": "???"}, "invalid bytes_value"),
            ({"bool_value": "true"}, "must be true or false"),
            ({"int_value": 1.5}, "whole number"),
            ({"int_value": "x"}, "must be a number"),
            ({"int_value": True}, "must be a number"),
            ({"int_value": "1_0"}, "must be a number"),
            ({"double_value": " 5"}, "must be a number"),
            ({"double_value": "NaN"}, "must be a number"),
            ({"double_value": float("nan")}, "must be a number"),
            (1 << 63, "64 bits"),
            (float("nan"), "not-a-number"),
            ({"float_value": 1}, "unknown field 'float_value'"),
        ],
    )
    def test_wrong_values_are_explained(self, given, said):
        """Each wrong value has a sentence of its own."""
        with pytest.raises(Wrong) as error:
            typed_value(given)
        assert said in str(error.value)


class TestNumericValue:
    @pytest.mark.parametrize(
        ("given", "meant"), [(500, 500), (0.5, 0.5), ({"int_value": "7"}, 7), ({"doubleValue": 2}, 2.0)]
    )
    def test_numbers(self, given, meant):
        """Plain and canonical numbers."""
        assert numeric_value(given) == meant

    @pytest.mark.parametrize("given", ["500", True, None, b"1", {"string_value": "5"}, {"bool_value": True}, {}])
    def test_nothing_but_numbers(self, given):
        """A comparison with text, a boolean or bytes is refused."""
        with pytest.raises(Wrong):
            numeric_value(given)
