def test_the_interface_is_described_as_json_and_by_no_foreign_script(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/cameras", "/api/events", "/api/cameras/{name}/zones", "/metrics", "/healthz"} <= set(paths)
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_an_invalid_request_names_what_is_wrong_and_repeats_nothing(client):
    answer = client.get("/api/events?limit=<script>&before=nan")
    assert answer.status_code == 422 and "query.limit" in answer.json()["detail"] and "<script>" not in answer.text
