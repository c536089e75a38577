"""A second authorization server of the tests, independent of the first: Authlib under Flask, with opaque access
tokens and plain introspection (RFC 7662), which knows no JWTs.

It listens on loopback at the port of its first argument (0: any that is free) and writes its issuer to standard
output. The endpoints are Authlib's own; here are only its clients and tokens, which live in memory. What tests ask of it
beside OAuth is at `/test/`: how often a token was introspected.
"""

import hmac
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, list_to_scope, scope_to_list
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, current_app, request
from werkzeug.serving import make_server

AUDIENCE = "orders-api"
LIFETIME = 600
SCOPES = ["orders:read", "orders:write"]


def main():
    app = Flask(__name__)
    listener = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
    issuer = f"http://127.0.0.1:{listener.port}"
    app.config.update(ISSUER=issuer, OAUTH2_TOKEN_EXPIRES_IN={"client_credentials": LIFETIME})
    server = AuthorizationServer(app, CLIENTS.get, keep_token)
    server.register_grant(ClientCredentialsGrant)
    server.register_endpoint(Introspection)
    server.register_endpoint(Revocation)
    app.post("/token")(server.create_token_response)
    app.post("/token/introspection", endpoint="introspection")(
        lambda: server.create_endpoint_response(Introspection.ENDPOINT_NAME)
    )
    app.post("/token/revocation", endpoint="revocation")(
        lambda: server.create_endpoint_response(Revocation.ENDPOINT_NAME)
    )
    app.get("/test/introspections")(lambda: {"count": INTROSPECTIONS[request.headers["token"]]})
    print(issuer, flush=True)
    listener.serve_forever()


class Introspection(IntrospectionEndpoint):
    def query_token(self, token_string, token_type_hint):
        INTROSPECTIONS[token_string] += 1
        return TOKENS.get(token_string)

    def check_permission(self, token, client, request):
        return client.client_id == "gateway"

    def introspect_token(self, token):
        return {
            "active": True,
            "iss": current_app.config["ISSUER"],
            "aud": AUDIENCE,
            "sub": token.client_id,
            "client_id": token.client_id,
            "scope": token.scope,
            "token_type": "Bearer",
            "iat": token.issued_at,
            "exp": token.issued_at + token.expires_in,
        }


class Revocation(RevocationEndpoint):
    def query_token(self, token_string, token_type_hint):
        return TOKENS.get(token_string)

    def revoke_token(self, token, request):
        token.revoked = True


@dataclass
class Client(ClientMixin):
    client_id: str
    client_secret: str
    grant_types: list[str]

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return list_to_scope([name for name in scope_to_list(scope or "") if name in SCOPES])

    def check_client_secret(self, client_secret):
        return hmac.compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type in self.grant_types


@dataclass
class Token(TokenMixin):
    client_id: str
    scope: str
    expires_in: int
    issued_at: int = field(default_factory=lambda: int(time.time()))
    revoked: bool = False

    def check_client(self, client):
        return self.client_id == client.client_id

    def is_expired(self):
        return self.issued_at + self.expires_in <= time.time()

    def is_revoked(self):
        return self.revoked


def keep_token(token, request):
    TOKENS[token["access_token"]] = Token(request.client.client_id, token.get("scope", ""), token["expires_in"])


CLIENTS = {
    "app": Client("app", os.environ["APP_CLIENT_SECRET"], ["client_credentials"]),
    "gateway": Client("gateway", os.environ["INTROSPECTION_CLIENT_SECRET"], []),
}
TOKENS = {}
INTROSPECTIONS = Counter()

if __name__ == "__main__":
    main()
