"""Addresses of servers."""

import sys

import pytest

from pipelines.config import UserError
from pipelines.serving.clients import ServedModel, open_client


@pytest.mark.parametrize(
    "address",
    ["localhost:8500", "grpc://localhost", "grpc://", "grpc://host:port", "ftp://host:21", "http://user:secret@host:8501"],
)
def test_what_is_no_address_is_answered_with_the_two_kinds(address):
    with pytest.raises(UserError, match=r"is not the address of a server\. Expected grpc://HOST:8500 .* http://HOST:8501"):
        open_client(address)


@pytest.mark.parametrize(
    ("address", "kind", "package"), [("grpc://host:8500", "grpc", "grpc"), ("http://host", "rest", "httpx")]
)
def test_a_missing_package_is_answered_with_its_extra(address, kind, package, monkeypatch):
    monkeypatch.delitem(sys.modules, f"pipelines.serving.clients.{kind}_client", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"`{package}`\. Install it: pip install \"vad-keras\[serving\]\""):
        open_client(address)


def test_an_address_is_not_connected_before_the_first_request():
    for address in ("grpc://localhost:1", "http://localhost:1", "https://example.org/models"):
        open_client(address).close()


def test_a_model_is_named_with_its_version_or_label():
    models = (ServedModel("vad"), ServedModel("vad", "3"), ServedModel("vad", label="stable"))
    assert list(map(str, models)) == ["`vad`", "`vad` version 3", "`vad` label stable"]
