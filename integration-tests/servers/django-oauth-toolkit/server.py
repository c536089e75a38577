"""django-oauth-toolkit with all that it needs in one file: clients, alice, and a database that is new with each start.

server.py DATABASE PORT; the secrets come as variables.
"""

import os
import sys
from datetime import timedelta

import django
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import include, path

SCOPES = ["orders:read", "orders:write", "payments:read"]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    OAUTH2_PROVIDER={
        "SCOPES": {name: name for name in SCOPES},
        "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
        "CLIENT_SECRET_HASHER": "md5",
    },
    PASSWORD_HASHERS=[
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["DJANGO_SECRET"],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402, models need the settings
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402
from oauth2_provider.models import AccessToken, Application  # noqa: E402


def brief_token(request):
    """A token of alice that ends in three seconds: the toolkit knows one lifetime for all."""
    token = AccessToken.objects.create(
        user=User.objects.get(),
        application=Application.objects.get(client_id="app"),
        token=os.urandom(20).hex(),
        scope="orders:read",
        expires=timezone.now() + timedelta(seconds=3),
    )
    return JsonResponse({"access_token": token.token})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("test/brief-token", brief_token),
]


def client(client_id, secret, grant):
    Application.objects.create(
        client_id=client_id,
        client_secret=os.environ[secret],
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=grant,
    )


call_command("migrate", verbosity=0)
User.objects.create_user("alice", password=os.environ["ALICE_PASSWORD"])
client("app", "APP_CLIENT_SECRET", Application.GRANT_PASSWORD)
client("app-alone", "APP_CLIENT_SECRET", Application.GRANT_CLIENT_CREDENTIALS)
client("gateway", "INTROSPECTION_CLIENT_SECRET", Application.GRANT_CLIENT_CREDENTIALS)

server = ThreadedWSGIServer(("127.0.0.1", int(sys.argv[2])), WSGIRequestHandler)
server.set_app(get_wsgi_application())
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
