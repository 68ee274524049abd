"""`collector/monitors/datadog/`: monitors that Datadog's published model takes, about things that records really have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from datadog_api_client.configuration import Configuration
from datadog_api_client.model_utils import ModelNormal, validate_and_convert_types
from datadog_api_client.v1.model.monitor import Monitor

from otel_logging.bridge import reasons
from otel_logging.bridge.summary import LOGGER

FOLDER = Path(__file__).parents[3] / "collector" / "monitors" / "datadog"
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "watch-the-volume.md"
FILES = sorted(FOLDER.glob("*.json"))
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
# What a policy or a limit dropped was meant to go, and recursion would feed itself: no loss.
NOT_LOST = {"policy", "sampled", "rate_limited", "repeat_guard", "storm_guard", "limited", "recursion", "internal"}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def unknown(model):
    """Keys of a model's values that the published model does not have."""
    if isinstance(model, list):
        return [name for item in model for name in unknown(item)]
    if not isinstance(model, ModelNormal):
        return []
    strange = [name for name in model._data_store if name not in model.openapi_types]
    return strange + [name for item in model._data_store.values() for name in unknown(item)]


@EACH
def test_model(path):
    """Datadog's model takes it, knows every key of it, and gives it back as it is."""
    monitor = validate_and_convert_types(read(path), (Monitor,), ["monitor"], True, True, configuration=Configuration())
    assert not monitor._unparsed
    assert unknown(monitor) == []
    assert monitor.to_dict() == read(path)


def test_the_model_objects():
    """A key that does not exist, or a type that does not, is found."""
    wrong = {**read(FILES[0]), "quarry": "x"}
    monitor = validate_and_convert_types(wrong, (Monitor,), ["monitor"], True, True, configuration=Configuration())
    assert unknown(monitor) == ["quarry"]
    wrong = {**read(FILES[0]), "type": "logs alert"}
    monitor = validate_and_convert_types(wrong, (Monitor,), ["monitor"], True, True, configuration=Configuration())
    assert monitor._unparsed


@EACH
def test_thresholds_agree_with_the_query(path):
    """The figure at the end of the query is the critical threshold, and a warning comes before it."""
    monitor = read(path)
    thresholds = monitor["options"]["thresholds"]
    comparison, figure = re.search(r" ([<>]) ([\d.]+)$", monitor["query"]).groups()
    assert float(figure) == thresholds["critical"]
    if "warning" in thresholds:
        assert comparison == ">"
        assert thresholds["warning"] < thresholds["critical"]


@EACH
def test_formulas_use_what_is_defined(path):
    """A formula's names are its queries, all of them."""
    monitor = read(path)
    names = {one["name"] for one in monitor["options"].get("variables", [])}
    formula = re.search(r'formula\("(.*?)"\)', monitor["query"])
    assert set(re.findall(r"[a-z]+", formula[1]) if formula else ()) == names


@EACH
def test_messages_name_groups_that_are_there(path):
    """What a message fills in is the value, or one of the query's groups."""
    monitor = read(path)
    groups = {
        name
        for found in re.findall(r'\.by\("([^"]*)"\)| by \{([^}]*)\}', monitor["query"])
        for name in ",".join(found).split(",")
    }
    for name in re.findall(r"\{\{(.*?)\}\}", monitor["message"]):
        assert name == "value" or name.removesuffix(".name") in groups, name


def searched(path):
    monitor = read(path)
    queries = [one["search"]["query"] for one in monitor["options"].get("variables", [])]
    return " ".join([*queries, *re.findall(r'logs\("(.*?)"\)', monitor["query"])])


@EACH
def test_fields_are_ones_that_records_have(path):
    """An attribute that is searched for is one that otel-logging sets, by its exact name."""
    known = {"call_sid", "logger.name", "otel_logging.trigger", "otel_logging.recovered"}
    assert set(re.findall(r"@([\w.]+)", searched(path))) <= known
    assert set(re.findall(r"@logger\.name:(\S+)", searched(path))) <= {LOGGER}


def test_every_loss_is_watched():
    """The monitor for losses names every reason of the ledger by which a record is lost that was meant to be kept."""
    named = set(re.search(r"reason IN \((.*?)\)", read(FOLDER / "application-drops.json")["query"])[1].split(","))
    assert named == {reason.partition(":")[0] for reason in (*reasons.REASONS, *reasons.FAMILIES)} - NOT_LOST


def test_the_page_tells_every_figure():
    """The page has a row for each monitor with the figures that it is set to."""
    page = PAGE.read_text(encoding="utf-8")
    for path in FILES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{path.name}`")]
        for figure in read(path)["options"]["thresholds"].values():
            assert re.search(rf"\b{figure:,}\b", row), (path.name, figure)
