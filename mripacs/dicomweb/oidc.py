"""Access tokens of an OpenID provider: signed JWTs (RFC 9068), verified against the provider's published keys."""

from __future__ import annotations

import json
import logging
import urllib.request
from typing import Any

from mripacs.core.errors import SettingsError
from mripacs.core.web import Access, OidcSettings
from mripacs.dicomweb.problems import RequestError

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")  # no shared secrets
KEYS_S = 300  # keys are asked for again after that, and when a token names an unknown one
TIMEOUT_S = 10
LEEWAY_S = 30  # between the provider's clock and ours


class Oidc:
    """Verifies tokens. Thread-safe; `verify` may ask the provider for its keys."""

    def __init__(self, settings: OidcSettings) -> None:
        try:
            import jwt  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise SettingsError("web.oidc needs the extra: pip install 'mripacs[oidc]'") from error
        self._jwt = jwt
        self._settings = settings
        self._keys: Any = None

    def verify(self, token: str) -> tuple[str, Access]:
        """The token's subject and what its scopes let do.

        Raises RequestError: 401 for a token that is not good, 503 when the provider cannot be asked.
        """
        jwt = self._jwt
        try:
            key = self._key_client().get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWKClientConnectionError, OSError) as error:
            log.error("the OpenID provider's keys cannot be had: %s", type(error).__name__)
            raise RequestError(
                503, "the OpenID provider cannot be reached; try later", {"Retry-After": "10"}
            ) from error
        except (jwt.PyJWTError, ValueError) as error:
            words = f"the token is not good: {type(error).__name__}"
            raise RequestError(401, words, {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from error
        return str(claims.get("sub") or claims.get("client_id") or "unnamed")[:64], self._access(claims)

    def _access(self, claims: dict[str, Any]) -> Access:
        listed = claims.get("scope", claims.get("scp", ""))
        scopes = listed.split() if isinstance(listed, str) else [str(scope) for scope in listed or ()]
        if self._settings.write_scope in scopes:
            return "write"
        return "read" if self._settings.read_scope in scopes else "none"

    def _key_client(self) -> Any:
        if self._keys is None:
            url = self._settings.jwks_url or self._discovered()
            self._keys = self._jwt.PyJWKClient(url, lifespan=KEYS_S, timeout=TIMEOUT_S)
        return self._keys

    def _discovered(self) -> str:
        """OpenID Connect Discovery 1.0, 4.1."""
        url = f"{str(self._settings.issuer).rstrip('/')}/.well-known/openid-configuration"
        if not url.startswith(("https://", "http://")):
            raise ValueError("the issuer is no URL")
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - its scheme is checked
            found: str = json.load(answer)["jwks_uri"]
        return found
