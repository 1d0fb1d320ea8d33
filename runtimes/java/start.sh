#!/bin/sh
# Starts a generic instance. $1 is where prepare.cjs has put the supervisor and its archive of classes; without them it is compiled for
# this one instance.
here=$(dirname "$0")
ready=$(readlink -f "$1/current")
own=$(dirname "$PETREL_SOCKET")
if ! [ -f "$ready/supervisor.jar" ]; then
  ready=$(mktemp -d) || exit 1
  command -v javac >/dev/null || { echo "javac was not found: install a JDK 17 or later (apt install openjdk-17-jdk-headless)" >&2; exit 1; }
  javac -nowarn -XDignore.symbol.file -d "$ready" "$here"/supervisor/petrel/*.java || exit 1
  jar --create --file "$ready/supervisor.jar" --manifest "$here/supervisor/MANIFEST.MF" -C "$ready" petrel || exit 1
fi
# A JVM cannot change its directory later: it gets one that will show the package.
mkdir -p "$own/here" && cd "$own/here" || exit 1
options=
[ -f "$ready/options" ] && read -r options <"$ready/options"
[ -f "$ready/supervisor.jsa" ] && options="$options -XX:SharedArchiveFile=$ready/supervisor.jsa"
# A JVM lets a debugger in only when it was started for that.
[ -n "$PETREL_DEBUG_PORT" ] &&
  options="$options -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,quiet=y,address=127.0.0.1:$PETREL_DEBUG_PORT"
exec java $options -Xshare:auto -XX:+UseSerialGC -XX:-UsePerfData -XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError \
  -Xlog:disable -Xlog:all=error:stderr -cp "$ready/supervisor.jar" petrel.Supervisor
