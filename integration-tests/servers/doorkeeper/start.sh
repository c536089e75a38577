#!/bin/sh
# server.rb with Ruby and Rails, out of a folder with their packages.
#
# start.sh PACKAGES PORT DATABASE; the secrets come as variables.
packages=$1
set -- "$(dirname "$0")/server.rb" "$2" "$3"
library=$(echo "$packages"/usr/lib/*-linux-gnu)
RUBYLIB="$packages/usr/lib/ruby/vendor_ruby:$(echo "$library"/ruby/vendor_ruby/3.*):$(echo "$packages"/usr/lib/ruby/3.*):$(echo "$library"/ruby/3.*)"
GEM_PATH="$packages/usr/share/rubygems-integration/all:$(echo "$packages"/usr/share/rubygems-integration/3.*):$(echo "$library"/rubygems-integration/3.*)"
export LD_LIBRARY_PATH="$library" RUBYLIB GEM_PATH
exec "$packages"/usr/bin/ruby3.* "$@"
