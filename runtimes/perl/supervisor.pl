#!/usr/bin/perl
# The supervisor of the perl runtime: one instance. Speaks runtimes/PROTOCOL.md on the unix socket named by PETREL_SOCKET, is
# specialised at most once, and ends when its platform does.
#
# This process never runs user code: a loop reads every connection, and workers, forked from it, load the code and work on one
# request at a time each.

package main;

# Before any lexical: the file is compiled as if it stood alone.
sub Petrel::Runtime::load_file { return scalar do $_[0] }

use strict;
use warnings;
BEGIN { unshift @INC, (__FILE__ =~ m{^(.*)/} ? $1 : '.') . '/lib' }
use Petrel::Runtime::Peer;
use Petrel::Runtime::Connection;
use Petrel::Runtime::Supervisor;
use POSIX ();

my $socket = $ENV{PETREL_SOCKET} // '';
if ($socket eq '') {
    print STDERR "petrel: PETREL_SOCKET is not set: the perl runtime is started by the platform\n";
    exit 2;
}
my %seconds = (
    # Life after the last control connection has closed, and without one ever.
    control_grace => ($ENV{PETREL_CONTROL_GRACE_MS} || 10_000) / 1000,
    orphan => ($ENV{PETREL_ORPHAN_MS} || 60_000) / 1000,
    load => ($ENV{PETREL_LOAD_TIMEOUT_MS} || 30_000) / 1000,
    # Requests in flight at SIGTERM.
    term_grace => ($ENV{PETREL_TERM_GRACE_MS} || 25_000) / 1000,
);
delete $ENV{$_} for grep { /^PETREL_/ } keys %ENV;
# Standard input is at its end for user code, whatever the process was started with.
open STDIN, '<', '/dev/null' or die "petrel: /dev/null: $!\n";
$| = 1;

my $supervisor = Petrel::Runtime::Supervisor->new(socket => $socket, %seconds);
$supervisor->listen;
# What workers need is loaded before they are forked.
require Petrel::Runtime::Worker;
Petrel::Runtime::Worker::watch_exit();
eval { $supervisor->run; 1 };
my $forked = $@;
die $forked unless ref $forked eq 'Petrel::Runtime::InWorker';
undef $supervisor;

my $worker = Petrel::Runtime::Worker->new($forked->{channel});
$worker->begin;
undef $@;
undef $!;
my $returned = Petrel::Runtime::load_file($worker->{entry});
$worker->failed($@) if $@;
$worker->serve($returned);
