"""Tokens, scopes, rates, names: who may do what, and what the refusal says."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import json
import sqlite3
import threading
from typing import ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from mripacs.core.errors import SettingsError
from tests.dicomweb.conftest import ROOT, in_process, settings_of
from tests.dicomweb.multipart import DICOM_PART, body_of, related

EVERYWHERE = "0.0.0.0"  # noqa: S104 - settings are read, nothing listens
READ, WRITE = "a-token-that-reads", "a-token-that-writes"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


TOKENS = {
    "viewer": {"sha256": digest(READ)},
    "modality": {"sha256": digest(WRITE), "access": "write"},
}


@pytest.fixture
def guarded(tmp_path):
    with in_process(settings_of(tmp_path / "archive", tokens=TOKENS, allow_delete=True)) as client:
        yield client


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token(guarded):
    answer = guarded.get(f"{ROOT}/studies")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization" in answer.json()["detail"]


@pytest.mark.parametrize(
    "header", ["Basic dXNlcjpwdw==", "Bearer", "Bearer wrong", f"Bearer {digest(READ)}", "Bearer ä"]
)
def test_with_another(guarded, header):
    assert guarded.get(f"{ROOT}/studies", headers={"Authorization": header.encode()}).status_code == 401


def test_reading_and_writing(guarded):
    assert guarded.get(f"{ROOT}/studies", headers=bearer(READ)).status_code == 204
    body = body_of((DICOM_PART, b"x" * 200))
    refused = guarded.post(f"{ROOT}/studies", content=body, headers=related() | bearer(READ))
    assert refused.status_code == 403
    assert "viewer" in refused.json()["detail"]
    assert guarded.post(f"{ROOT}/studies", content=body, headers=related() | bearer(WRITE)).status_code == 400
    assert guarded.delete(f"{ROOT}/studies/1.2.3", headers=bearer(READ)).status_code == 403
    assert guarded.delete(f"{ROOT}/studies/1.2.3", headers=bearer(WRITE)).status_code == 404


def test_deleting(tmp_path, filled):
    path = next(iter(filled.files.values()))
    with in_process(settings_of(tmp_path / "archive", allow_delete=True)) as client:
        receipt = client.archive.store(path)
        (row,) = client.get(f"{ROOT}/instances").json()
        url = row["00081190"]["Value"][0]
        assert client.delete(url).status_code == 204
        assert client.get(url).status_code == 404
        assert client.delete(url).status_code == 404
        assert receipt.sop_instance_uid not in [each.sop_instance_uid for each in client.archive]


def test_deleting_is_off_by_default(client, filled):
    answer = client.delete(filled.path(filled.lossy()))
    assert answer.status_code == 405
    assert filled.lossy().sop_instance_uid in [each.sop_instance_uid for each in client.archive]


def test_rates(tmp_path):
    with in_process(settings_of(tmp_path / "archive", requests_per_minute=3)) as client:
        statuses = [client.get(f"{ROOT}/studies").status_code for _ in range(8)]
        assert statuses.count(429) >= 2  # a minute may end in between
        refused = client.get(f"{ROOT}/studies")
        if refused.status_code == 429:
            assert int(refused.headers["retry-after"]) >= 1


def test_other_names_are_refused_on_loopback(tmp_path):
    settings = settings_of(tmp_path / "archive")
    for host, status in (("127.0.0.1", 204), ("localhost", 204), ("evil.example", 421)):
        with in_process(settings, host) as client:
            assert client.get(f"{ROOT}/studies").status_code == status


def test_no_plain_http_off_loopback(tmp_path):
    with pytest.raises(SettingsError, match="is not loopback"):
        settings_of(tmp_path, host=EVERYWHERE)
    assert settings_of(tmp_path, host=EVERYWHERE, plain_http=True).web.anonymous_access == "none"


def test_cors(tmp_path):
    with in_process(settings_of(tmp_path / "archive", cors_origins=["https://viewer.example"])) as client:
        asked = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "GET"}
        allowed = client.options(f"{ROOT}/studies", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://viewer.example"
        other = client.get(f"{ROOT}/studies", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_an_audit_event_for_each(tmp_path, filled):
    with in_process(settings_of(tmp_path / "archive", tokens=TOKENS)) as client:
        content = next(iter(filled.files.values())).read_bytes()
        client.post(f"{ROOT}/studies", content=body_of((DICOM_PART, content)), headers=related() | bearer(WRITE))
        client.get(f"{ROOT}/studies?PatientName=Nobody", headers=bearer(READ))
        (row,) = client.get(f"{ROOT}/instances", headers=bearer(READ)).json()
        client.get(row["00081190"]["Value"][0], headers=bearer(READ))
    with sqlite3.connect(tmp_path / "archive" / "mripacs.db") as database:
        events = database.execute("select kind, door, calling_ae, detail from audit order by time").fetchall()
    assert ("store", "STOW-RS", "modality") in [event[:3] for event in events]
    assert ("query", "DICOMweb", "viewer") in [event[:3] for event in events]
    assert ("fetch", "DICOMweb", "viewer") in [event[:3] for event in events]
    assert not any("Nobody" in event[3] for event in events)


# --- an OpenID provider -------------------------------------------------------------------------------------------


class Provider(http.server.BaseHTTPRequestHandler):
    keys: ClassVar[dict] = {}

    def do_GET(self):
        base = f"http://127.0.0.1:{self.server.server_port}"
        answers = {"/.well-known/openid-configuration": {"jwks_uri": f"{base}/keys"}, "/keys": self.keys}
        body = json.dumps(answers[self.path]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def provider():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    Provider.keys = {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", key
    server.shutdown()
    server.server_close()


def claims(issuer, **changes):
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(minutes=5)
    return {"iss": issuer, "aud": "mripacs", "sub": "doctor", "exp": ends, "scope": "mripacs.read"} | changes


def test_tokens_of_a_provider(tmp_path, provider):
    issuer, key = provider
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)

    def signed(with_key=key, algorithm="RS256", kid="one", **changes):
        return jwt.encode(claims(issuer, **changes), with_key, algorithm, headers={"kid": kid})

    unsigned = jwt.encode(claims(issuer), None, "none", headers={"kid": "one"})
    cases = {
        signed(): 204,
        signed(scope="mripacs.write other"): 204,
        signed(scope="other"): 403,
        signed(exp=past): 401,
        signed(aud="another"): 401,
        signed(iss="https://evil.example"): 401,
        signed(with_key=other): 401,
        signed(kid="unknown"): 401,
        signed(with_key="0" * 64, algorithm="HS256"): 401,
        unsigned: 401,
        signed()[:-8] + "AAAAAAAA": 401,
        "not.a.token": 401,
    }
    with in_process(settings_of(tmp_path / "archive", oidc={"issuer": issuer, "audience": "mripacs"})) as client:
        assert client.get(f"{ROOT}/studies").status_code == 401
        for token, status in cases.items():
            answer = client.get(f"{ROOT}/studies", headers=bearer(token))
            assert answer.status_code == status, (answer.text, token[:40])
        body = body_of((DICOM_PART, b"x" * 200))
        assert client.post(f"{ROOT}/studies", content=body, headers=related() | bearer(signed())).status_code == 403


def test_a_provider_that_is_away(tmp_path):
    oidc = {"issuer": "http://127.0.0.1:9", "audience": "mripacs"}
    with in_process(settings_of(tmp_path / "archive", oidc=oidc)) as client:
        assert client.get(f"{ROOT}/studies", headers=bearer("a.b.c")).status_code == 503
