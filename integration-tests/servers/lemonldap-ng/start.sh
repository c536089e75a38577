#!/bin/sh
# The portal of LemonLDAP::NG on loopback, out of a folder with its packages. lmConf-1.json is its configuration.
#
# start.sh PACKAGES PORT FOLDER; the secrets come as variables. The folder is for sessions.
packages=$1 FOLDER=$3 LLNG_DEFAULTCONFFILE=$3/lemonldap-ng.ini
export PORT="$2" FOLDER LLNG_DEFAULTCONFFILE
mkdir -p "$FOLDER/sessions/lock" "$FOLDER/psessions/lock"
cat > "$LLNG_DEFAULTCONFFILE" <<END
[all]
logLevel = warn
[configuration]
type = File
dirName = $(dirname "$(realpath "$0")")
useServerEnv = 1
localStorage = Cache::FileCache
localStorageOptions = {'namespace' => 'configuration', 'cache_root' => '$FOLDER/cache'}
[portal]
templateDir = $packages/usr/share/lemonldap-ng/portal/templates
END
PERL5LIB="$packages/usr/share/perl5:$(echo "$packages"/usr/lib/*/perl5/5.*):$packages/usr/share/perl/5.36:$(echo "$packages"/usr/lib/*/perl/5.36)"
LD_LIBRARY_PATH=$(echo "$packages"/usr/lib/*-linux-gnu)
export PERL5LIB LD_LIBRARY_PATH PATH="$packages/usr/bin:$PATH"
PRIVATE_KEY=$(perl -MCrypt::OpenSSL::RSA -e 'print Crypt::OpenSSL::RSA->generate_key(2048)->get_private_key_string')
export PRIVATE_KEY
PUBLIC_KEY=$(perl -MCrypt::OpenSSL::RSA -e 'print Crypt::OpenSSL::RSA->new_private_key($ENV{PRIVATE_KEY})->get_public_key_x509_string')
export PUBLIC_KEY
exec perl "$packages/usr/bin/plackup" --env deployment --host 127.0.0.1 --port "$PORT" \
    "$packages/usr/share/lemonldap-ng/portal/htdocs/index.psgi" >&2
