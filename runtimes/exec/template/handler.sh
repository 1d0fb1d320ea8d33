#!/bin/sh
# petrel: stdio
# The body of the request is on standard input, what is written to standard output is the answer.
# Another mode: "petrel: cgi" in the line above, and header lines before the answer.
set -eu

name=$(cat)
echo "Hello, ${name:-world}, from $Http_Path"
