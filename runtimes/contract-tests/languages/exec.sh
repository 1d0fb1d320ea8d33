#!/usr/bin/env bash
# petrel: cgi
# Everything that the contract suite asks of a handler, as a CGI program: each request is a process, what they share is in $HOME.

gate() { until [ -e "$HOME/open.$1" ]; do sleep 0.005; done; }
count() { echo x >> "$HOME/$1"; }
counted() { if [ -e "$HOME/$1" ]; then wc -l < "$HOME/$1"; else echo 0; fi; }
query() { local rest="&$QUERY_STRING"; rest=${rest#*"&$1="}; printf %s "${rest%%&*}"; }
text() { printf 'content-type: text/plain\n\n%s' "$1"; }
json() {
  local s=${1//\\/\\\\}
  s=${s//\"/\\\"}
  s=${s//$'\n'/\\n}
  printf '"%s"' "$s"
}
environment() {
  local name comma=
  for name in $(compgen -e); do
    printf '%s%s:%s' "$comma" "$(json "$name")" "$(json "${!name}")"
    comma=,
  done
}
headers() {
  local name key comma=
  for name in $(compgen -e); do
    case $name in
      HTTP_*) key=${name#HTTP_} ;;
      CONTENT_TYPE | CONTENT_LENGTH) key=$name ;;
      *) continue ;;
    esac
    key=${key,,}
    printf '%s"%s":%s' "$comma" "${key//_/-}" "$(json "${!name}")"
    comma=,
  done
}
pairs() {
  local pair comma= IFS='&'
  for pair in $QUERY_STRING; do
    pair=${pair//%/\\x}
    printf '%s["%b","%b"]' "$comma" "${pair%%=*}" "${pair#*=}"
    comma=,
  done
}

case $PATH_INFO in
  /echo) printf 'content-type: %s\n\n' "${CONTENT_TYPE:-none}"; cat ;;
  /echo-stream) printf 'content-type: application/octet-stream\n\n'; cat ;;
  /describe)
    text "{\"method\":$(json "$REQUEST_METHOD"),\"path\":$(json "$PATH_INFO"),\"query\":[$(pairs)],\"headers\":{$(headers)},\"body\":$(json "$(cat)")}" ;;
  /headers) printf 'x-latin1: caf\xe9\ncontent-type: text/plain\nset-cookie: a=1; Path=/\nset-cookie: b=2\n\nok' ;;
  /status)
    code=$(query code)
    printf 'status: %s\n\n' "$code"
    case $code in 204 | 304) ;; *) printf 'body of %s' "$code" ;; esac ;;
  /sse)
    printf 'content-type: text/event-stream\n\n'
    for n in 0 1 2; do
      [ $n = 0 ] || gate $n
      printf 'data: %s\n\n' $n
    done ;;
  /open) : > "$HOME/open.$QUERY_STRING"; text opened ;;
  /big)
    printf 'content-type: application/octet-stream\n\n'
    printf -v piece '%65536s' ''
    for ((left = $(query bytes); left > 0; left -= 65536)); do count produced; printf %s "$piece"; done ;;
  /produced) text $(($(counted produced) * 65536)) ;;
  /slow-read) dd of=/dev/null bs=1 count=1 2> /dev/null; gate read; text "rest $(wc -c)" ;;
  /throw) echo 'TypeError: thrown in the handler' >&2; exit 1 ;;
  /reject) sleep 0.001; echo 'rejected in the handler' >&2; exit 2 ;;
  /hang) trap 'count aborted; exit 1' TERM; while :; do sleep 1; done ;;
  /aborted) text "$(counted aborted)" ;;
  /hang-deaf) trap '' TERM; while :; do sleep 1; done ;;
  /sleep)
    : > "$HOME/busy.$$"
    set -- "$HOME"/busy.*
    echo $# >> "$HOME/most"
    sleep "$(query ms)e-3"
    rm "$HOME/busy.$$"
    text slept ;;
  /most) text "$(sort -n "$HOME/most" | tail -n 1)" ;;
  /environment) text "{\"env\":{$(environment)},\"cwd\":$(json "$PWD"),\"args\":[$(json "$0")]}" ;;
  /stdin) text "stdin $(cat /dev/stdin | wc -c)" ;;
  /log) echo 'a line of output' > /dev/stderr; echo 'a line of errors' >&2; text logged ;;
  /break-stream) text begun; sleep 0.5; echo 'broke off' >&2; exit 1 ;;
  /bad-header) printf 'x-evil: a\rx-forged: 1\n\nx' ;;
  *) printf 'status: 404\n\n' ;;
esac
