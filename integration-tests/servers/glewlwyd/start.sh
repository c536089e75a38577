#!/bin/sh
# Glewlwyd on loopback, out of a folder with its packages. objects.json says what its administrator then gives it.
#
# start.sh PACKAGES PORT DATABASE
packages=$1 port=$2 database=$3
modules="$packages/usr/lib/glewlwyd"
LD_LIBRARY_PATH=$(echo "$packages"/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH
export GLWD_BIND_ADDRESS=127.0.0.1 GLWD_PORT="$port" GLWD_EXTERNAL_URL="http://127.0.0.1:$port" GLWD_API_PREFIX=api
export GLWD_DATABASE_TYPE=sqlite3 GLWD_DATABASE_SQLITE3_PATH="$database" GLWD_HASH_ALGORITHM=SHA512
export GLWD_ADMIN_SCOPE=g_admin GLWD_PROFILE_SCOPE=g_profile GLWD_LOG_MODE=console GLWD_LOG_LEVEL=WARNING
export GLWD_USER_MODULE_PATH="$modules/user" GLWD_CLIENT_MODULE_PATH="$modules/client"
export GLWD_AUTH_SCHEME_MODULE_PATH="$modules/scheme" GLWD_PLUGIN_MODULE_PATH="$modules/plugin"
exec "$packages/usr/bin/glewlwyd" --env-variables >&2
