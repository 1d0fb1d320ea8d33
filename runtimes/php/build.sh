#!/bin/sh
# Fetches the packages of a composer.json into vendor/. With a composer.lock nothing but what it says is installed.
set -eu
command -v composer >/dev/null || {
  echo 'The composer.json needs Composer, which is not on this machine: apt install composer.' >&2
  exit 127
}
export COMPOSER_HOME="$HOME/composer" COMPOSER_CACHE_DIR="$PETREL_CACHE/composer" COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_NO_INTERACTION=1
set -- --no-dev --prefer-dist --no-progress --optimize-autoloader
if [ -f composer.lock ]; then
  # install only warns of a lock file that does not match.
  composer validate --no-check-all --no-check-publish --quiet || composer validate --no-check-all --no-check-publish
  composer install "$@"
else
  composer update "$@"
fi
