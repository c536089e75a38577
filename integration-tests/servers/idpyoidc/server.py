"""idpyoidc with its clients and sessions in memory.

server.py PORT; the secrets come as variables.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from idpyoidc.message.oauth2 import AuthorizationRequest
from idpyoidc.server import Server
from idpyoidc.server.authn_event import create_authn_event
from idpyoidc.server.configure import ASConfiguration
from idpyoidc.server.exception import ClientAuthenticationError, UnAuthorizedClient

CALLBACK = "http://127.0.0.1/callback"
SCOPES = ["orders:read", "orders:write", "payments:read", "offline_access"]


def endpoint(path, name, **options):
    options["client_authn_method"] = ["client_secret_basic", "client_secret_post"]
    return {"path": path, "class": f"idpyoidc.server.oauth2.{name}", "kwargs": options}


def token(lifetime):
    return {"class": "idpyoidc.server.token.jwt_token.JWTToken", "kwargs": {"lifetime": lifetime}}


encrypter = {
    "kwargs": {
        "keys": {"key_defs": [{"type": "OCT", "use": ["enc"], "kid": kid} for kid in ("password", "salt")]},
        "iterations": 1,
    }
}
issuer = f"http://127.0.0.1:{sys.argv[1]}"
configuration = {
    "issuer": issuer,
    "key_conf": {"key_defs": [{"type": "EC", "crv": "P-256", "use": ["sig"]}]},
    "session_params": {"encrypter": encrypter},
    "token_handler_args": {
        "code": {"kwargs": {"crypt_conf": encrypter}},
        "token": token(600),
        "refresh": token(3600),
    },
    "endpoint": {
        "authorization": endpoint("authorization", "authorization.Authorization"),
        "token": endpoint("token", "token.Token"),
        "introspection": endpoint(
            "introspection", "introspection.Introspection", enforce_audience_restriction=False
        ),
        "token_revocation": endpoint("revocation", "token_revocation.TokenRevocation"),
    },
}
server = Server(ASConfiguration(configuration))
context, sessions = server.context, server.context.session_manager


def client(client_id, secret, **options):
    context.cdb[client_id] = {
        "client_secret": os.environ[secret],
        "client_salt": "salt",
        "redirect_uris": [(CALLBACK, None)],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "allowed_scopes": SCOPES,
        **options,
    }


BRIEF = {
    "authorization_code": {"supports_minting": ["access_token"], "max_usage": 1, "expires_in": 60},
    "access_token": {"expires_in": 3},
}
client("app", "APP_CLIENT_SECRET")
client("app-brief", "APP_CLIENT_SECRET", token_usage_rules=BRIEF)
client("gateway", "INTROSPECTION_CLIENT_SECRET")
# Version 5.0.0 grants each client one token of its own, and fails at the second request.
for number in range(3):
    client(f"machine-{number}", "APP_CLIENT_SECRET")


def code(client_id, scope):
    """What the page of an application does once alice has logged in and consented."""
    request = AuthorizationRequest(
        client_id=client_id, redirect_uri=CALLBACK, scope=scope, state="a-state", response_type="code"
    )
    session = sessions.create_session(create_authn_event("alice"), request, "alice", client_id=client_id)
    grant = context.authz(session, request)
    sessions[session] = grant
    return grant.mint_token(
        session_id=session,
        context=context,
        token_class="authorization_code",
        token_handler=sessions.token_handler.handler["authorization_code"],
        usage_rules=grant.usage_rules["authorization_code"],
    ).value


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.respond(200, [], code(query["client_id"], query["scope"].split()) if query else "")

    def do_POST(self):
        endpoint = next(one for one in server.endpoint.values() if one.endpoint_path == self.path[1:])
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        # It looks header fields up by their names in lower case.
        fields = {name.lower(): value for name, value in self.headers.items()}
        try:
            request = endpoint.parse_request(form, http_info={"headers": fields})
            answer = endpoint.do_response(request=request, **endpoint.process_request(request))
            self.respond(200, answer["http_headers"], answer["response"])
        except (ClientAuthenticationError, UnAuthorizedClient):
            self.respond(401, [("content-type", "application/json")], '{"error": "invalid_client"}')

    def respond(self, status, fields, body):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Its queries have credentials."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
