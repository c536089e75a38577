"""django-oidc-provider with all that it needs in one file: clients, alice, and a database that is new with each start.

server.py DATABASE PORT; the secrets come as variables.
"""

import os
import sys
import time
from datetime import timedelta

import django
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oidc_provider"],
    LOGIN_URL="/login",
    OIDC_GRANT_TYPE_PASSWORD_ENABLE=True,
    OIDC_IDTOKEN_EXPIRE=600,
    OIDC_INTROSPECTION_RESPONSE_SCOPE_ENABLE=True,
    OIDC_INTROSPECTION_VALIDATE_AUDIENCE_SCOPE=False,
    OIDC_TOKEN_EXPIRE=600,
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["DJANGO_SECRET"],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402, models need the settings
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402
from oidc_provider.models import Client, Token  # noqa: E402


def brief_token(request):
    """A token of alice that ends in three seconds: the provider knows one lifetime for all."""
    app, now = Client.objects.get(client_id="app"), int(time.time())
    token = Token(user=User.objects.get(), client=app, expires_at=timezone.now() + timedelta(seconds=3))
    token.access_token, token.refresh_token = os.urandom(20).hex(), os.urandom(20).hex()
    token.scope = ["orders:read"]
    issuer = f"http://{request.get_host()}/openid"
    token.id_token = {"iss": issuer, "sub": str(token.user.id), "aud": "app", "iat": now, "exp": now + 3}
    token.save()
    return JsonResponse({"access_token": token.access_token})


def revoke(request):
    """What an administrator does: the provider has no endpoint for it."""
    Token.objects.get(access_token=request.POST["token"]).delete()
    return HttpResponse()


urlpatterns = [
    path("openid/", include("oidc_provider.urls", namespace="oidc_provider")),
    path("test/brief-token", brief_token),
    path("test/revoke", revoke),
]


def client(client_id, secret, scope):
    client = Client(client_id=client_id, client_secret=os.environ[secret], jwt_alg="HS256")
    client.scope = scope
    client.save()


call_command("migrate", verbosity=0)
User.objects.create_user("alice", password=os.environ["ALICE_PASSWORD"])
client("app", "APP_CLIENT_SECRET", ["openid", "orders:read", "orders:write", "payments:read"])
client("gateway", "INTROSPECTION_CLIENT_SECRET", ["token_introspection"])

server = ThreadedWSGIServer(("127.0.0.1", int(sys.argv[2])), WSGIRequestHandler)
server.set_app(get_wsgi_application())
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
