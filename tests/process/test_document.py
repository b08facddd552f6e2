"""The service keeps to its OpenAPI document, for good requests and for bad ones.

Schemathesis makes the requests. Its check that every request that fits the schema is accepted is left out: no
schema says that a cursor was issued by the service, or that exactly one of several fields is given.
"""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.api.app import create_app
from app.settings import Settings
from tests.fixtures.server import start_server

EXAMPLES = 200 if os.environ.get("LOOKALIKE_SOAK") else 4

pytestmark = pytest.mark.slow

load_all_checks()
_DOCUMENT = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
_OPERATIONS = [found.ok() for found in _DOCUMENT.get_all_operations()]
# Elsewhere there is nothing to get wrong but the path, in which any text is a name.
_REFUSING = [one for one in _OPERATIONS if any((one.query, one.body, one.headers))]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("document"), "--samples")
    yield server.url
    server.stop()
    server.process.stdout.close()


@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda operation: operation.label)
def test_good_requests_get_documented_answers(operation, url):
    ask(operation, url, GenerationMode.POSITIVE)


@pytest.mark.parametrize("operation", _REFUSING, ids=lambda operation: operation.label)
def test_bad_requests_get_documented_refusals(operation, url):
    ask(operation, url, GenerationMode.NEGATIVE)


def ask(operation, url: str, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def run(case) -> None:
        # Any bytes are a text or a file, so only JSON can violate its schema.
        lenient = [] if case.media_type in {None, "application/json"} else [negative_data_rejection]
        case.validate_response(
            case.call(base_url=url, timeout=30), excluded_checks=[positive_data_acceptance, *lenient]
        )

    run()
