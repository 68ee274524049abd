"""What a Telemetry Policy says, as plain frozen data: fields, matchers, keep values, labels, errors.

Nothing in here parses, compiles or evaluates: `parse` makes these objects from YAML and JSON, `compiler` turns them
into code. The names of fields are those of `LogField` in the Telemetry Policy specification 1.6.0, in short form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAME_LABEL: Final = "otel-logging.class"  # label key; the value `frame` marks a policy about per-frame lines
FRAME: Final = "frame"
PRIVACY: Final = "privacy"  # the value that marks a policy whose redactions hold for every text of a record
PRIVACY_LABEL: Final = "otel-logging.privacy"  # from which mode on a bundled redaction is in force
SPARE_LABEL: Final = "otel-logging.spare"  # the value `ids`: a redaction leaves ids and times alone
PSEUDONYM_LABEL: Final = "otel-logging.pseudonym"  # the kind of personal data that a redaction is about

# Kinds of fields. The first group is of the specification; the second is ours, for what an application knows.
ATTRIBUTE: Final = "attribute"
RESOURCE: Final = "resource"
SCOPE_ATTRIBUTE: Final = "scope_attribute"
STANDARD_FIELDS: Final = (
    "body",
    "severity_text",
    "trace_id",
    "span_id",
    "event_name",
    "resource_schema_url",
    "scope_schema_url",
)
OWN_FIELDS: Final = ("severity_number", "scope_name", "scope_version")
ID_FIELDS: Final = {"trace_id": 16, "span_id": 8}  # name -> length in bytes

MatchKind = Literal[
    "exact", "regex", "exists", "starts_with", "ends_with", "contains", "equals", "gt", "gte", "lt", "lte"
]
STRING_KINDS: Final = ("exact", "regex", "starts_with", "ends_with", "contains")
NUMERIC_KINDS: Final = ("gt", "gte", "lt", "lte")
MATCH_KINDS: Final[tuple[str, ...]] = (*STRING_KINDS, "exists", "equals", *NUMERIC_KINDS)


@dataclass(frozen=True)
class PolicyError:
    """One thing that is wrong with one policy: where in it (`log: match[0]`) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True)
class Field:
    """What a matcher or a sample key reads: a well-known field, or an attribute by its path."""

    kind: str
    path: tuple[str, ...] = ()

    @property
    def reads(self) -> str:
        """The kind as `PolicySet.reads` lists it."""
        return {"scope_name": "scope.name", "scope_version": "scope.version"}.get(self.kind, self.kind)


@dataclass(frozen=True)
class Matcher:
    """One condition on one field. `value` is a bool for `exists`, a number for comparisons, a scalar for `equals`."""

    field: Field
    kind: MatchKind
    value: bool | int | float | bytes | str
    negate: bool = False
    case_insensitive: bool = False


@dataclass(frozen=True)
class Keep:
    """How much of the matching telemetry survives.

    `all` and `none` stand alone; `sample` has `percent` (0 to 100); `rate` has `limit` records per `window` seconds.
    """

    kind: Literal["all", "none", "sample", "rate"] = "all"
    percent: float = 100.0
    limit: int = 0
    window: int = 1


@dataclass(frozen=True)
class Remove:
    """Take a field away."""

    field: Field


@dataclass(frozen=True)
class Redact:
    """Replace a field's value, or what `regex` finds in it; `replacement` is then a template."""

    field: Field
    replacement: str = "[REDACTED]"
    regex: str | None = None


@dataclass(frozen=True)
class Rename:
    """Give an attribute another key; `upsert` overwrites one that has it already."""

    field: Field
    to: str
    upsert: bool = False


@dataclass(frozen=True)
class Add:
    """Set a field; `upsert` overwrites what is there."""

    field: Field
    value: str
    upsert: bool = False


@dataclass(frozen=True)
class Transform:
    """What is changed on a record that stays. The order of the members is the order in which they are carried out."""

    remove: tuple[Remove, ...] = ()
    redact: tuple[Redact, ...] = ()
    rename: tuple[Rename, ...] = ()
    add: tuple[Add, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.remove or self.redact or self.rename or self.add)


@dataclass(frozen=True)
class Extension:
    """Behaviour of one implementation, tied to a policy. `config` is opaque here; its handler reads it."""

    type: str
    version: str
    config: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["kept", "dropped", "unmatched", "matched", "all"] = "matched"


@dataclass(frozen=True)
class Policy:
    """One rule. A policy that has `errors` is inert: it matches nothing and is only reported."""

    id: str
    name: str = ""
    description: str = ""
    enabled: bool = True
    match: tuple[Matcher, ...] = ()
    keep: Keep = field(default_factory=Keep)
    sample_key: Field | None = None
    transform: Transform = field(default_factory=Transform)
    labels: Mapping[str, Any] = field(default_factory=dict)
    extensions: tuple[Extension, ...] = ()
    signal: Literal["log", "metric", "trace"] = "log"
    source: str = ""
    errors: tuple[PolicyError, ...] = ()

    @property
    def frame(self) -> bool:
        """Whether this policy is about per-frame lines: off at LOG_LEVEL=DEBUG, never matching WARN and above."""
        return self.labels.get(FRAME_LABEL) == FRAME

    @property
    def everywhere(self) -> bool:
        """Whether its redactions of the body by a pattern hold for every text of the record."""
        return self.labels.get(FRAME_LABEL) == PRIVACY

    @property
    def only_transforms(self) -> bool:
        """Whether it has no say in what is kept."""
        return self.keep.kind == "all" and bool(self.transform)
