"""Signing in with a token, and what a browser's cookie may and may not do."""

from __future__ import annotations

import hashlib

import pytest
from starlette.testclient import TestClient

from mripacs.core.settings import load_settings
from mripacs.dicomweb import app as web
from mripacs.dicomweb.page import session as sessions
from mripacs.dicomweb.page.session import COOKIE, MAX_SESSIONS, Sessions
from tests.page.conftest import FROM_OUR_PAGE

TOKEN, WRITER = "a token of the viewer", "a token that writes"
QIDO = "/dicom-web/studies"


@pytest.fixture
def settings(filled):
    tokens = {
        "VIEWER": {"sha256": hashlib.sha256(TOKEN.encode()).hexdigest()},
        "SCANNER": {"sha256": hashlib.sha256(WRITER.encode()).hexdigest(), "access": "write"},
    }
    flags = {"archive": {"directory": filled.archive.settings.archive.directory}, "web": {"tokens": tokens}}
    return load_settings(flags=flags | {"web": {"tokens": tokens, "allow_delete": True}}, environment={})


@pytest.fixture
def browser(filled, settings):
    """A browser at a door that asks for tokens; it follows no redirect by itself."""
    return TestClient(web.build(filled.archive, settings), base_url="http://127.0.0.1", follow_redirects=False)


def sign_in(browser, token=TOKEN, target="/node/storage", headers=FROM_OUR_PAGE):
    return browser.post("/node/login", data={"token": token, "next": target}, headers=headers)


def test_without_a_token_every_page_leads_to_the_form(browser, filled):
    for path in ("/node/studies?patient=x", f"/node/instances/{filled.uids['lossy']}", "/node/storage", "/node/health"):
        answer = browser.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/node/login?next=/node/")
    picture = browser.get(f"/node/instances/{filled.uids['lossy']}/frames/1.png")
    assert picture.status_code == 303
    assert browser.get("/metrics").status_code == 401
    assert browser.get("/healthz").status_code == 200
    assert browser.get("/readyz").status_code == 200


def test_a_token_opens_what_was_asked_for(browser):
    answer = sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/node/storage")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert browser.get("/node/storage").status_code == 200
    assert "Sign out" in browser.get("/node/studies").text


@pytest.mark.parametrize("token", ["", "wrong", "日本", "x" * 20000, f"{TOKEN}\r\nX-Evil: 1"])
def test_another_token_opens_nothing(token, browser):
    answer = sign_in(browser, token)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not known here" in answer.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "", "/node\r\nX: 1"],
)
def test_no_other_site_is_led_to(target, browser):
    assert sign_in(browser, target=target).headers["location"] == "/node/studies"


def test_the_cookie_reads_over_dicomweb_but_never_writes(browser, filled):
    sign_in(browser, WRITER)
    assert browser.get(QIDO).status_code == 200
    assert browser.get("/metrics").status_code == 200
    for method, path in (("POST", QIDO), ("DELETE", f"{QIDO}/{filled.study}")):
        assert browser.request(method, path, headers=FROM_OUR_PAGE).status_code == 401
    assert browser.get(f"{QIDO}/{filled.study}/series").status_code == 200


def test_a_token_of_its_own_goes_before_the_cookie(browser):
    sign_in(browser)
    assert browser.get(QIDO, headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_of_another_site_does_nothing(headers, browser, filled):
    sign_in(browser)
    proof = f"/node/instances/{filled.uids['lossy']}"
    for path in (proof, "/node/logout", "/node/login"):
        assert browser.post(path, headers=headers).status_code == 403
    assert browser.get("/node/storage").status_code == 200


def test_a_form_of_ours_is_known_by_its_origin_where_browsers_say_no_more(browser):
    assert sign_in(browser, headers={"Origin": "http://127.0.0.1"}).status_code == 303


def test_signing_out_ends_the_session_for_good(browser):
    sign_in(browser)
    secret = browser.cookies[COOKIE]
    assert browser.post("/node/logout", headers=FROM_OUR_PAGE).status_code == 303
    browser.cookies.set(COOKIE, secret)
    assert browser.get("/node/storage").status_code == 303


def test_a_made_up_cookie_is_none(browser):
    for value in ("made-up", '"', "a=b; c"):
        assert browser.get("/node/storage", headers={"Cookie": f"{COOKIE}={value}"}).status_code == 303


def test_a_token_that_is_withdrawn_opens_nothing(filled, settings, browser):
    sign_in(browser)
    secret = browser.cookies[COOKIE]
    withdrawn = settings.model_copy(update={"web": settings.web.model_copy(update={"tokens": {}, "anonymous": "none"})})
    app = web.build(filled.archive, withdrawn)
    app.state.sessions._tokens.update({secret: (TOKEN, float("inf"))})
    later = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False, cookies={COOKIE: secret})
    assert later.get("/node/storage").status_code == 401
    assert later.get("/node/storage").headers["location"].startswith("/node/login")


def test_sessions_end(monkeypatch):
    held = Sessions()
    secret = held.open("token")
    assert held.token(secret) == "token"
    now = sessions.time.monotonic()
    monkeypatch.setattr(sessions.time, "monotonic", lambda: now + sessions.LASTS_S + 1)
    assert held.token(secret) is None
    assert held.token(secret) is None


def test_sessions_are_bounded():
    held = Sessions()
    first = held.open("first")
    for _ in range(MAX_SESSIONS):
        last = held.open("other")
    assert held.token(first) is None
    assert held.token(last) == "other"
