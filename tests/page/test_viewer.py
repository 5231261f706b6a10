"""The viewer's files on our origin, and how its build is fetched: against a registry of the test's own."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from starlette.testclient import TestClient

from mripacs.core.errors import ViewerError
from mripacs.dicomweb import app as web
from mripacs.dicomweb import viewer_build
from tests.page.conftest import FROM_OUR_PAGE

FILES = {
    "package/dist/index.html": b"<!doctype html><title>viewer</title>",
    "package/dist/app.bundle.0123456789abcdef.js": b"1",
    "package/dist/0123456789abcdef.wasm": b"\0asm",
    "package/dist/assets/icon.png": b"png",
    "package/dist/app-config.js": b"window.config = 'the one it ships'",
    "package/package.json": b"{}",
}


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def integrity(content: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """`registry(content)` serves it as the build, which is pinned to it, to a machine without npm and without cache."""
    servers = []

    def start(content: bytes, pinned: bytes | None = None) -> list[str]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(viewer_build, "INTEGRITY", integrity(pinned or content))
        return asked

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(viewer_build.shutil, "which", lambda _: None)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_build_is_fetched_once_and_unpacked_whole(registry):
    asked = registry(packed(FILES))
    folder = viewer_build.ensure()
    assert viewer_build.ensure() == folder
    assert asked == [f"/@ohif/app/-/app-{viewer_build.VERSION}.tgz"]
    assert (folder / "index.html").read_bytes() == FILES["package/dist/index.html"]
    assert (folder / "assets" / "icon.png").is_file()
    assert not (folder / "package.json").exists()
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


def test_another_build_than_the_pinned_one_is_refused(registry):
    registry(packed(FILES), pinned=b"another")
    with pytest.raises(ViewerError, match="not the pinned build"):
        viewer_build.ensure()
    assert not viewer_build.is_there()


def test_a_member_that_leads_out_is_not_unpacked(registry, tmp_path):
    registry(packed(FILES | {"package/dist/../../../../../../evil": b"x"}))
    with pytest.raises(ViewerError, match="cannot be unpacked"):
        viewer_build.ensure()
    assert not list(tmp_path.rglob("evil"))
    assert not viewer_build.is_there()


def test_without_npm_and_registry_the_message_says_what_to_do(registry, monkeypatch):
    del registry
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
    with pytest.raises(ViewerError, match="NPM_CONFIG_REGISTRY"):
        viewer_build.ensure()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "file:///etc/")
    with pytest.raises(ViewerError, match="no web address"):
        viewer_build.ensure()


def test_the_public_registry_is_the_default(monkeypatch):
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    monkeypatch.delenv("npm_config_registry", raising=False)
    assert viewer_build.registry() == viewer_build.PUBLIC_REGISTRY


# --- its files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setattr(viewer_build, "folder", lambda: tmp_path / "dist")
    for name, content in FILES.items():
        path = tmp_path / name.removeprefix("package/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret").write_text("outside")
    return tmp_path / "dist"


@pytest.fixture
def viewer(filled, build):
    assert build.is_dir()
    return TestClient(app_of(filled, {"viewer": True}), base_url="http://127.0.0.1", follow_redirects=False)


def app_of(filled, changes):
    settings = filled.archive.settings
    return web.build(filled.archive, settings.model_copy(update={"web": settings.web.model_copy(update=changes)}))


@pytest.mark.parametrize("path", ["/", "/viewer?StudyInstanceUIDs=1.2", "/segmentation", "/index.html"])
def test_its_own_paths_give_its_start_page_isolated(path, viewer):
    answer = viewer.get(path)
    if path == "/index.html":
        assert answer.status_code == 404
        return
    assert answer.text == FILES["package/dist/index.html"].decode()
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
    assert "connect-src 'self'" in answer.headers["content-security-policy"]


def test_files_with_a_hash_in_their_name_are_kept_by_browsers(viewer):
    script, module, icon = (
        viewer.get(path) for path in ("/app.bundle.0123456789abcdef.js", "/0123456789abcdef.wasm", "/assets/icon.png")
    )
    assert "immutable" in script.headers["cache-control"]
    assert "immutable" in module.headers["cache-control"]
    assert module.headers["content-type"] == "application/wasm"
    assert icon.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/absent.js",
        "/%2e%2e/secret",
        "/assets/%2e%2e/%2e%2e/secret",
        "/dicom-web/nothing",
        "/node/nothing",
        "/assets/a.png",
    ],
)
def test_what_is_not_its_own_is_not_there(path, viewer):
    answer = viewer.get(path)
    assert "outside" not in answer.text
    assert answer.status_code == 404 or answer.text == FILES["package/dist/index.html"].decode()
    assert answer.status_code == 404 or "secret" in path


def test_the_configuration_names_this_node_only(viewer):
    script = viewer.get("/app-config.js").text
    config = json.loads(script.removeprefix("window.config = ").removesuffix(";\n"))
    (source,) = config["dataSources"]
    assert {source["configuration"][root] for root in ("qidoRoot", "wadoRoot", "wadoUriRoot")} == {"/dicom-web"}
    assert "http" not in script


def test_the_services_and_pages_stay_where_they_are(viewer):
    assert viewer.get("/dicom-web/studies").headers["content-type"].startswith("application/dicom+json")
    assert viewer.get("/node/studies", headers=FROM_OUR_PAGE).status_code == 200
    assert 'href="/viewer?StudyInstanceUIDs=' in viewer.get("/node/studies").text
    assert viewer.get("/healthz").text == "ok\n"


def test_where_tokens_are_asked_for_it_begins_with_signing_in(filled, build):
    assert build.is_dir()
    app = app_of(filled, {"viewer": True, "anonymous": "none"})
    door = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    answer = door.get("/viewer?StudyInstanceUIDs=1.2")
    assert answer.headers["location"] == "/node/login?next=/viewer%3FStudyInstanceUIDs%3D1.2"
    assert door.get("/app.bundle.0123456789abcdef.js").status_code == 200
