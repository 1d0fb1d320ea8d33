#!/bin/sh
# Fetches the gems of a Gemfile into the package. With a Gemfile.lock nothing but what it says is installed.
set -eu
command -v bundle >/dev/null || {
  echo 'The Gemfile needs Bundler, which is not on this machine: apt install ruby-bundler, or gem install bundler.' >&2
  exit 127
}
export BUNDLE_PATH=vendor/bundle BUNDLE_USER_HOME="$PETREL_CACHE/bundler" BUNDLE_GLOBAL_GEM_CACHE=true \
  BUNDLE_WITHOUT=development:test BUNDLE_SILENCE_ROOT_WARNING=true BUNDLE_JOBS=4
if [ -f Gemfile.lock ]; then export BUNDLE_FROZEN=true; fi
# --standalone also writes vendor/bundle/bundler/setup.rb: gems are reached without loading Bundler, which takes 100 ms.
bundle install --standalone
# Gems of the package itself stand there with the path of this build.
setup=vendor/bundle/bundler/setup.rb
if [ -f "$setup" ]; then
  here=$(pwd -P) ruby -i -pe 'gsub(ENV.fetch("here") + "/", "\#{__dir__}/../../../")' "$setup"
fi
rm -rf vendor/bundle/ruby/*/cache
