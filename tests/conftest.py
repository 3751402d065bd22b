"""The candidate, the oracle, and a count of how often they were compared.

`WENGERT_CANDIDATE=torch` runs every test against torch itself: it validates the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

import compare

hypothesis.settings.register_profile(
    "ci",
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.register_profile(
    "deep", parent=hypothesis.settings.get_profile("ci"), max_examples=2000, derandomize=False
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

COUNT = Path(__file__).parents[1] / "target" / "torch-comparisons"


@pytest.fixture
def wt():
    """The module under test."""
    return compare.candidate


@pytest.fixture(autouse=True)
def _same_start():
    """Every test starts from the same modes and printing options under both libraries."""
    for module in {compare.candidate, compare.torch} - {None}:
        module.set_printoptions(profile="default")
        module.manual_seed(0)
    yield


def pytest_collection_modifyitems(items):
    for item in items:
        if compare.candidate is compare.torch and item.get_closest_marker("wengert_only"):
            item.add_marker(pytest.mark.skip(reason="about what torch does not have"))


def pytest_configure(config):
    config.comparisons = 0


def pytest_sessionfinish(session):
    """Worker processes hand their count to the controlling one, which writes the sum down."""
    config = session.config
    config.comparisons += compare.comparisons
    if hasattr(config, "workeroutput"):
        config.workeroutput["comparisons"] = config.comparisons
        return
    COUNT.parent.mkdir(exist_ok=True)
    COUNT.write_text(f"{config.comparisons}\n")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.comparisons += getattr(node, "workeroutput", {}).get("comparisons", 0)


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.write_line(f"comparisons with torch: {config.comparisons}")
