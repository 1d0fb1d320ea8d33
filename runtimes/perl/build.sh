#!/bin/sh
# Fetches the modules of a cpanfile into local/. With a cpanfile.snapshot, written by Carton, nothing but what it says is installed.
set -eu
export PERL_CPANM_HOME="$PETREL_CACHE/cpanm" PERL_CARTON_PATH="$PWD/local"
if [ -f cpanfile.snapshot ]; then
  command -v carton >/dev/null || {
    echo 'The cpanfile.snapshot needs Carton, which is not on this machine: apt install carton, or cpanm Carton.' >&2
    exit 127
  }
  carton install --deployment --without develop
else
  command -v cpanm >/dev/null || {
    echo 'The cpanfile needs cpanm, which is not on this machine: apt install cpanminus.' >&2
    exit 127
  }
  cpanm --local-lib-contained local --installdeps --notest --quiet .
fi
rm -rf local/man local/cache
