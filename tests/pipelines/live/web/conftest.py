"""The page before a view that tests change by hand."""

import pytest
from fastapi.testclient import TestClient

from pipelines.live.web import create_app
from tests.pipelines.live.fake_view import FakeView

TOKEN = "a-token-of-the-tests"
CHANGING = {"X-Vad": "1"}


@pytest.fixture
def view():
    return FakeView("door", "yard")


@pytest.fixture
def client(view, store):
    """A client on this machine; no token is asked for."""
    return TestClient(create_app(view, store), base_url="http://127.0.0.1:8008", headers=CHANGING)


@pytest.fixture
def guarded(view, store):
    """A client of a page with a token."""
    app = create_app(view, store, TOKEN, hosts=["cameras.example"])
    return TestClient(app, base_url="http://192.0.2.7:8008", follow_redirects=False)
