package Petrel::Runtime::WorkerProcess;

# The supervisor's end of one worker: a process that loads the user's code and works on one request at a time.
# state: generic, loading, idle, busy, gone.

use strict;
use warnings;
use parent -norequire, 'Petrel::Runtime::Peer';

sub frame { return $_[0]{crew}->heard(@_) }

sub gone {
    my ($self) = @_;
    $self->{state} = 'gone';
    return if $self->{retired};
    # How it ended is waited for only where somebody has to be told.
    my $owes = !defined $self->{deadline} && $self->{exchange} && !$self->{exchange}{finished};
    return $self->{crew}->lost($self) unless $owes || $self->{loads};
    waitpid $self->{pid}, 0;
    my ($signal, $code) = ($? & 127, $? >> 8);
    return $self->{crew}->lost($self, $signal ? ("signal $signal", 128 + $signal) : ("exit code $code", $code));
}

package Petrel::Runtime::Crew;

# The workers of this instance. A generic one waits from the warm-up on; the others are forked when requests wait, up to the
# function's concurrency, and end when they have had nothing to do for a while. Every worker loads the code itself, so nothing
# (connections, random seeds) is shared.

use strict;
use warnings;
use POSIX ();
use Petrel::Runtime::Frames;
use Socket;
use Time::HiRes ();

use constant {
    MOST => 64,             # workers of a function without a concurrency of its own
    LOADING => 8,           # started at once at most: more would only hold up each other
    IDLE_SECONDS => 30,
    STUCK_SECONDS => 5,     # a worker whose request is over is ended this long after the request's own time, and after being told
};

sub new {
    my ($class, $host) = @_;
    return bless { host => $host, workers => {}, retired => [], queue => [], waiting => [], limit => MOST, load => '', seconds => 300 }, $class;
}

# A worker that has loaded nothing, so that `specialise` finds one.
sub warm_up {
    my ($self) = @_;
    $self->_start unless %{ $self->{workers} };
    return;
}

# Has the code loaded by a first worker; `heard` tells of the outcome.
sub specialise {
    my ($self, $params) = @_;
    $self->{limit} = $params->{concurrency} if $params->{concurrency};
    $self->{seconds} = $params->{timeoutMs} / 1000 if $params->{timeoutMs};
    $self->{load} = encode(LOAD, 0, json($params));
    $self->warm_up;
    for my $worker (values %{ $self->{workers} }) {
        $worker->{loads} = 1;    # the instance is specialised by what it loads
        $self->_load($worker);
    }
    return;
}

sub request {
    my ($self, $exchange) = @_;
    push @{ $self->{queue} }, $exchange;
    return $self->_dispatch;
}

# The request is over, by the gateway's word.
sub cancel {
    my ($self, $exchange, $code, $message) = @_;
    $exchange->cancelled($code, $message);
    my $worker = $exchange->{worker};
    if (!$worker) {
        $self->{queue} = [grep { $_ != $exchange } @{ $self->{queue} }];
    }
    elsif ($worker->{exchange} && $worker->{exchange} == $exchange) {
        my ($end, $now) = ($exchange->{began} + $self->{seconds}, Time::HiRes::time());
        $worker->{deadline} = ($end > $now ? $end : $now) + STUCK_SECONDS;
    }
    return;
}

# Calls $act when a request that comes now would be worked on: not while every worker is stuck with one that is over.
sub when_able {
    my ($self, $act) = @_;
    my $stuck = grep { defined $_->{deadline} } values %{ $self->{workers} };
    if ($stuck >= $self->{limit}) { push @{ $self->{waiting} }, $act }
    else { $act->() }
    return;
}

# A worker is there again, or may be started.
sub _able {
    my ($self) = @_;
    $_->() for splice @{ $self->{waiting} };
    return $self->_dispatch;
}

# A frame of a worker.
sub heard {
    my ($self, $worker, $kind, $stream, $payload) = @_;
    if ($kind == READY) {
        @$worker{qw(state exchange deadline)} = ('idle', undef, undef);
        $worker->{idle_until} = Time::HiRes::time() + IDLE_SECONDS;
        $self->_able;
    }
    elsif ($kind == LOADED) {
        $worker->{loads} = 0;
        $self->{host}->loaded(object_of($payload));
    }
    elsif ($kind == FAILED) { $self->{host}->failed(object_of($payload)) }
    elsif ($kind == CRASH) { $worker->{crash} = object_of($payload) }
    elsif ($worker->{exchange} && $worker->{exchange}{id} == $stream) { $worker->{exchange}->answer($kind, $payload) }
    return;
}

# A worker's process has ended: how, in words and as the exit code of the instance; without either, with nothing left to do.
sub lost {
    my ($self, $worker, $words, $code) = @_;
    delete $self->{workers}{$worker};
    return if $self->{host}{leaving};
    if (!defined $words) {
        push @{ $self->{retired} }, $worker->{pid};
        $self->reap;
        return $self->_able;
    }
    if ($worker->{loads}) {
        return $self->{host}->failed({ code => 'LoadError', message => "loading ended with $words", detail => "loading ended with $words" });
    }
    $words = "the worker ended with $words";
    my $crash = $worker->{crash} || { reason => 'exit', message => $words, detail => $words };
    return $self->{host}->crash({ %$crash, code => $code });
}

# Ends who is stuck or not needed; returns when it has to look again, or undef.
sub tick {
    my ($self, $now) = @_;
    my $idle = grep { $_->{state} eq 'idle' } values %{ $self->{workers} };
    my $next;
    for my $worker (values %{ $self->{workers} }) {
        my $at = $worker->{deadline};
        $at = $worker->{idle_until} if !defined $at && $worker->{state} eq 'idle' && $idle > 1;
        next unless defined $at;
        if ($at > $now) {
            $next = $at if !defined $next || $at < $next;
        }
        elsif (defined $worker->{deadline}) {
            kill KILL => $worker->{pid};
            $worker->{deadline} = $now + STUCK_SECONDS;
        }
        else {
            $idle--;
            $worker->{retired} = 1;
            delete $self->{workers}{$worker};
            push @{ $self->{retired} }, $worker->{pid};
            $worker->close;    # it ends with its channel, by itself
        }
    }
    return $next;
}

# Takes leave of those that have ended since they were retired.
sub reap {
    my ($self) = @_;
    $self->{retired} = [grep { waitpid($_, POSIX::WNOHANG()) == 0 } @{ $self->{retired} }];
    return;
}

sub _dispatch {
    my ($self) = @_;
    return if $self->{host}{state} ne 'specialised';
    my @workers = values %{ $self->{workers} };
    for my $worker (grep { $_->{state} eq 'idle' } @workers) {
        my $exchange = shift @{ $self->{queue} } or last;
        @$worker{qw(state idle_until exchange)} = ('busy', undef, $exchange);
        $exchange->assign($worker);
    }
    my $coming = grep { $_->{state} eq 'loading' } @workers;
    my $wanted = @{ $self->{queue} } || (@workers ? 0 : 1);
    $wanted = LOADING if $wanted > LOADING;
    for (my $count = @workers; $coming < $wanted && $count < $self->{limit}; $coming++, $count++) {
        $self->_load($self->_start);
    }
    return;
}

sub _load {
    my ($self, $worker) = @_;
    $worker->{state} = 'loading';
    return $worker->send($self->{load});
}

sub _start {
    my ($self) = @_;
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    my $pid = fork;
    die "petrel: cannot fork: $!\n" unless defined $pid;
    if (!$pid) {
        close $ours;
        $self->{host}->abandon;
        die bless { channel => $theirs }, 'Petrel::Runtime::InWorker';    # leaves the supervisor's loop
    }
    close $theirs;
    my $worker = Petrel::Runtime::WorkerProcess->new($ours, crew => $self, pid => $pid, state => 'generic');
    return $self->{workers}{$worker} = $worker;
}

1;
