"""`collector/monitors/datadog/`: monitors that Datadog's published model takes, about things that records really have."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from datadog_api_client.configuration import Configuration
from datadog_api_client.model_utils import ModelNormal, validate_and_convert_types
from datadog_api_client.v1.model.monitor import Monitor

import otel_logging
from otel_logging.bridge import reasons
from otel_logging.bridge.summary import LOGGER
from otel_logging.testing import capture

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


@pytest.fixture(scope="module")
def arrived():
    """Two calls, one of which fails, and a line of no call, as logs of the explorer: their attributes and status."""
    logger = logging.getLogger("server.media")
    with capture(service_name="voice") as sink:
        for number in (0, 1):
            with otel_logging.call(f"CA{number:032x}"):
                logger.info("call answered")
                for frame in range(3):
                    logger.info(f"[AUDIO_DELTA] response_id=resp_{frame}, bytes=320")
                logger.warning("the model is slow")
                if number:
                    logger.error("the model is gone")
        logger.info("a line of no call")
        sink.flush()
        return [{**one.attributes, "status": one.level.lower()} for one in (*sink.records, *sink.summaries)]


def fits(search, log):
    """Whether a log is found by a search of the few forms that the monitors use; all terms must hold."""
    terms = re.findall(r"-?[@\w.]+:(?:\([^)]*\)|\S+)|\*", search)
    assert " ".join(terms) == search, f"a form that this test does not know: {search}"
    return all(_term(term, log) for term in terms if term != "*")


def _term(term, log):
    if term.startswith("-"):
        return not _term(term[1:], log)
    name, _, wanted = term.removeprefix("@").partition(":")
    value = log.get(name)
    if wanted == "*":
        return value is not None
    if wanted.startswith(">"):
        return isinstance(value, int) and value > int(wanted[1:])
    return str(value).lower() in wanted.strip("()").split(" OR ")


FOUND = {
    ("lines-per-call", "lines"): 7,  # two answered, two warnings, one error, two summaries: not what was given back
    ("lines-per-call", "calls"): 7,
    ("loud-call", ""): 7,
    ("calls-gone-wrong", "wrong"): 1,
    ("calls-gone-wrong", "ended"): 2,
    ("errors-per-call", "errors"): 1,
    ("errors-per-call", "ended"): 2,
    ("runaway", ""): 11,
    ("silence", ""): 2,
}


def test_searches_find_what_arrives(arrived):
    """Each search finds exactly the lines that it is about, among those of real calls."""
    found = {}
    for path in FILES:
        monitor = read(path)
        searches = {one["name"]: one["search"]["query"] for one in monitor["options"].get("variables", [])}
        searches |= {"": one for one in re.findall(r'logs\("(.*?)"\)', monitor["query"])}
        for name, search in searches.items():
            found[path.stem, name] = sum(fits(search, log) for log in arrived)
    assert found == FOUND


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
