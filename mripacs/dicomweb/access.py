"""Who asks, and what they may do: bearer tokens (RFC 6750), rates, and the names the node answers to."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from mripacs.core.model import ReceivedFrom
from mripacs.core.web import Access, WebSettings, is_loopback
from mripacs.dicomweb.oidc import Oidc
from mripacs.dicomweb.problems import RequestError, problem_response
from mripacs.dicomweb.threads import in_thread

RANK: dict[Access, int] = {"none": 0, "read": 1, "write": 2}
MAX_QUERY_BYTES = 1 << 15  # a list of five hundred UIDs fits
MAX_CLIENTS = 10_000  # whose rates are remembered
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_HOST = 255  # a name of the DNS (RFC 1035 2.3.4)
_is_loopback = lru_cache(64)(is_loopback)  # 0.01 ms, for each request


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the name of a token's owner, or "" for anybody, an address, and what they may do."""

    name: str
    address: str
    access: Access

    @property
    def source(self) -> ReceivedFrom:
        """As the audit trail names them."""
        return ReceivedFrom("DICOMweb", calling_ae=self.name, peer=self.address)


def caller_of(request: Request) -> Caller:
    """Who makes the request."""
    caller: Caller = request.scope["mripacs.caller"]
    return caller


def require(request: Request, wanted: Access) -> Caller:
    """The caller, if they may do what is wanted. Raises RequestError: 401 without a token, 403 with too weak a one."""
    caller = caller_of(request)
    if RANK[caller.access] >= RANK[wanted]:
        return caller
    if caller.name:
        raise RequestError(
            403, f"the token of {caller.name} lets {caller.access}; this needs {wanted}",
            {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'},
        )  # fmt: skip
    raise RequestError(
        401,
        f"this needs a bearer token that lets {wanted}: send Authorization: Bearer TOKEN",
        {"WWW-Authenticate": 'Bearer realm="mripacs"'},
    )


class Guard:
    """Middleware that finds out who asks, and turns away what must not reach a handler. `require` does the rest."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings
        self._oidc = Oidc(settings.oidc) if settings.oidc.issuer else None
        self._rates = Rates(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its caller, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            scope["mripacs.caller"] = await self._admit(request)
        except RequestError as refusal:
            response = problem_response(refusal.status, str(refusal), refusal.headers)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, request: Request) -> Caller:
        if len(request.scope["query_string"]) > MAX_QUERY_BYTES:
            raise RequestError(414, f"the query has more than {MAX_QUERY_BYTES} bytes: search in smaller steps")
        self._check_host(request)
        caller = await self._caller(request)
        wait_s = self._rates.take(caller.name or caller.address)
        if wait_s:
            raise RequestError(429, "too many requests in the last minute", {"Retry-After": str(wait_s)})
        return caller

    def _check_host(self, request: Request) -> None:
        """Another name that leads here is a page that wants to read our answers as its own (DNS rebinding)."""
        host = request.headers.get("host", "").rsplit(":", 1)[0] if request.headers.get("host") else ""
        known = self._settings.hosts
        if (known and host in known) or (len(host) <= LONGEST_HOST and _is_loopback(host or "localhost")):
            return
        if known or self._settings.on_loopback:
            raise RequestError(421, f"this node does not answer to the name {host!r}: add it to web.hosts")

    async def _caller(self, request: Request) -> Caller:
        address = request.client.host if request.client else ""
        token = bearer_token(request)
        if token is None:
            return Caller("", address, self._settings.anonymous_access)
        found = self._static(token, address)
        if found is None and self._oidc is not None:
            name, access = await in_thread(self._oidc.verify, token)
            found = Caller(name, address, access)
        if found is None:
            raise RequestError(401, "the token is not known here", {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return found

    def _static(self, token: str, address: str) -> Caller | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        for name, known in self._settings.tokens.items():
            if hmac.compare_digest(known.sha256, digest):
                return Caller(name, address, known.access)
        return None


def bearer_token(request: Request) -> str | None:
    """The token in Authorization; None without that header. Raises RequestError 401 for another scheme."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RequestError(
            401, "this node takes Authorization: Bearer TOKEN", {"WWW-Authenticate": 'Bearer realm="mripacs"'}
        )
    return token.strip()


class Rates:
    """Requests of each client in the running minute. For the event loop's thread only."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._clients: OrderedDict[str, tuple[int, int]] = OrderedDict()  # the minute, and requests in it

    def take(self, client: str) -> int:
        """Count a request; seconds to wait where it is one too many, else 0."""
        if not self._per_minute:
            return 0
        now = time.monotonic()
        minute = int(now // 60)
        last, count = self._clients.pop(client, (minute, 0))
        count = count + 1 if last == minute else 1
        self._clients[client] = minute, count
        while len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return int(60 - now % 60) + 1 if count > self._per_minute else 0
