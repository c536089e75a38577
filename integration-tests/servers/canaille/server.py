"""Canaille with its clients and alice in memory.

server.py PORT; the secrets come as variables.
"""

import datetime
import os
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

port = int(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc)
app = create_app(
    {
        "SECRET_KEY": os.environ["CANAILLE_SECRET"],
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)]},
    }
)


def client(client_id, secret, grants, audience=()):
    client = models.Client(
        client_id=client_id,
        client_secret=os.environ[secret],
        client_name=client_id,
        client_id_issued_at=now,
        grant_types=grants,
        scope=["orders:read", "orders:write"],
        token_endpoint_auth_method="client_secret_basic",
    )
    client.audience = [*audience, client]
    Backend.instance.save(client)
    return client


with app.app_context(), Backend.instance.session():
    alice = models.User(user_name="alice", formatted_name="Alice", family_name="Example", emails=["alice@example.com"])
    alice.password = os.environ["ALICE_PASSWORD"]
    Backend.instance.save(alice)
    gateway = client("gateway", "INTROSPECTION_CLIENT_SECRET", ["client_credentials"])
    brief = client("app-brief", "APP_CLIENT_SECRET", ["client_credentials"], [gateway])
    client("app", "APP_CLIENT_SECRET", ["password", "refresh_token", "client_credentials"], [gateway])
    client("app-of-payments", "APP_CLIENT_SECRET", ["client_credentials"])


@app.get("/test/brief-token")
def brief_token():
    """A token that ends in three seconds: a grant has one lifetime for all clients."""
    token = models.Token(
        token_id=os.urandom(8).hex(),
        access_token=os.urandom(20).hex(),
        client=brief,
        audience=brief.audience,
        scope=["orders:read"],
        issue_date=datetime.datetime.now(datetime.timezone.utc),
        lifetime=3,
    )
    Backend.instance.save(token)
    return {"access_token": token.access_token}


server = make_server("127.0.0.1", port, app, threaded=True)
print(f"http://127.0.0.1:{server.port}", flush=True)
server.serve_forever()
