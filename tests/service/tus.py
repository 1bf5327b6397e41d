"""Helpers that speak tus 1.0 to a service."""

import base64

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


def metadata(**values):
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def begin(http, length, **values):
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(**({"kind": "model"} | values))}
    return http.post("/v1/uploads", headers=headers)


def append(http, url, offset, content):
    return http.patch(url, content=content, headers={**PATCH, "Upload-Offset": str(offset)})


def offset(http, url):
    response = http.head(url, headers=TUS)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return int(response.headers["upload-offset"])
