"""The `[web]` table: where the DICOMweb door listens, who may come in, and what one request may cost."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Literal, Self

from pydantic import Field, model_validator

from mripacs.core.refusal import ALLOWED
from mripacs.core.section import Section
from mripacs.core.tls import TlsSettings

Access = Literal["none", "read", "write"]


class Token(Section):
    """A bearer token (RFC 6750) that was given to somebody. The node knows its digest only."""

    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        json_schema_extra={ALLOWED: "64 lower-case hexadecimal digits"},
        description="SHA-256 of the token",
    )
    access: Literal["read", "write"] = Field("read", description="what it lets do; write includes read")


class OidcSettings(Section):
    """Access tokens of an OpenID provider: JWTs, verified against the provider's published keys."""

    issuer: str | None = Field(None, min_length=1, description="what the claim iss must be; unset: no JWTs are taken")
    audience: str | None = Field(None, min_length=1, description="what the claim aud must hold")
    jwks_url: str | None = Field(
        None,
        pattern=r"^https?://",
        json_schema_extra={ALLOWED: "URL that begins with https:// or http://"},
        description="where the keys are; unset: as the issuer's discovery document says",
    )
    read_scope: str = Field("mripacs.read", min_length=1, description="scope that lets read")
    write_scope: str = Field("mripacs.write", min_length=1, description="scope that lets read and write")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.issuer is None) != (self.audience is None):
            raise ValueError("issuer and audience belong together")
        return self


class WebSettings(Section):
    """The DICOMweb side of the node, a process of its own."""

    enabled: bool = Field(True, description="whether it is started at all")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8112, ge=0, le=65535, description="TCP port; 0 lets the system choose")
    hosts: tuple[str, ...] = Field((), description="names under which it is asked for; empty: loopback's on loopback")
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+$",
        json_schema_extra={ALLOWED: "URL that begins with https:// or http://"},
        description="what clients see before /dicom-web behind a proxy; unset: what each request names",
    )
    plain_http: bool = Field(False, description="allow HTTP without TLS off loopback")
    anonymous: Literal["auto", "none", "read", "write"] = Field(
        "auto", description="what a request without a token may do; auto: write on loopback without tokens, else none"
    )
    allow_delete: bool = Field(False, description="whether DELETE takes studies, series and instances out")
    cors_origins: tuple[str, ...] = Field((), description="origins whose pages may ask from a browser; * is any")
    max_request_bytes: int = Field(2**36, ge=1024, description="largest request body, in bytes")
    max_requests: int = Field(64, ge=1, le=10000, description="requests served at once; one more gets 503")
    requests_per_minute: int = Field(0, ge=0, description="of one client; 0: any number")
    max_results: int = Field(5000, ge=1, le=100000, description="matches in one answer to a search")
    workers: int = Field(1, ge=0, le=64, description="codec processes for stored instances; 0 codes in the web process")
    viewer: bool = Field(False, description="serve the OHIF viewer at /")
    tokens: Mapping[str, Token] = Field(default_factory=dict, description="bearer tokens by the name of their owner")
    oidc: OidcSettings = Field(OidcSettings(), description="JWTs of an OpenID provider")
    tls: TlsSettings = Field(TlsSettings(), description="HTTPS")

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the door."""
        return is_loopback(self.host)

    @property
    def anonymous_access(self) -> Access:
        """What a request without a token may do."""
        if self.anonymous != "auto":
            return self.anonymous
        return "write" if self.on_loopback and not self.tokens and self.oidc.issuer is None else "none"

    @model_validator(mode="after")
    def _not_in_the_clear(self) -> Self:
        if not (self.on_loopback or self.tls.certificate or self.plain_http):
            raise ValueError(f"host {self.host} is not loopback: give web.tls.certificate, or set plain_http = true")
        return self


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own loopback."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
