package Petrel::Runtime::Supervisor;

# The state of this instance and its loop: it never runs user code, so it answers whatever that does.

use strict;
use warnings;
use IO::Socket::UNIX ();
use Petrel::Runtime::Crew;
use Petrel::Runtime::Frames;
use Socket;
use Time::HiRes ();

sub new {
    my ($class, %options) = @_;
    my $self = bless {
        options => \%options, state => 'generic', leaving => 0, in_flight => 0, draining => 0, development => 0, warm => 0,
        connections => {}, timers => {}, drains => [],
    }, $class;
    $self->{crew} = Petrel::Runtime::Crew->new($self);
    return $self;
}

sub listen {
    my ($self) = @_;
    my $path = $self->{options}{socket};
    unlink $path;
    $self->{server} = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 128);
    if (!$self->{server}) {
        print STDERR "petrel: cannot listen on $path: $!\n";
        exit 2;
    }
    $self->{server}->blocking(0);
    socketpair $self->{woken}, $self->{wake}, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    $_->blocking(0) for @$self{qw(woken wake)};
    my $wake = $self->{wake};
    $SIG{TERM} = sub { syswrite $wake, 'T' };
    $SIG{CHLD} = sub { local ($!, $?); syswrite $wake, 'C' };
    $SIG{PIPE} = 'IGNORE';
    $self->_alone($self->{options}{orphan});
    return;
}

# Never returns; dies with an InWorker in a worker that was forked.
sub run {
    my ($self) = @_;
    my ($server, $woken) = map { fileno $_ } @$self{qw(server woken)};
    while (1) {
        my $wait = $self->_tick;    # first: it opens and closes sockets
        my ($read, $write, %peers) = ('', '');
        vec($read, $_, 1) = 1 for $server, $woken;
        for my $peer (values %{ $self->{connections} }, values %{ $self->{crew}{workers} }) {
            my $number = fileno $peer->{socket};
            $peers{$number} = $peer;
            vec($read, $number, 1) = 1;
            vec($write, $number, 1) = 1 if $peer->{out} ne '';
        }
        next if select($read, $write, undef, $wait) <= 0;    # a timer, or a signal
        for my $number (keys %peers) {
            my $peer = $peers{$number};
            $peer->writable if !$peer->{closed} && vec $write, $number, 1;
            $peer->readable if !$peer->{closed} && vec $read, $number, 1;
        }
        if (vec $read, $woken, 1) {
            sysread $self->{woken}, my $signals, 64;
            $self->{crew}->reap;
            $self->_drain($self->{options}{term_grace}, sub { $self->leave(0) }) if $signals =~ /T/;
        }
        if (vec $read, $server, 1) {
            my $socket = $self->{server}->accept or next;
            my $connection = Petrel::Runtime::Connection->new($socket, $self);
            $self->{connections}{$connection} = $connection;
        }
    }
    return;
}

# Does what is due; returns the seconds until something is, undef when nothing will be.
sub _tick {
    my ($self) = @_;
    my $now = Time::HiRes::time();
    for my $name (keys %{ $self->{timers} }) {
        next if !$self->{timers}{$name} || $self->{timers}{$name}[0] > $now;
        (delete $self->{timers}{$name})->[1]->();
    }
    my @times = grep { defined } $self->{crew}->tick($now), map { $_->[0] } values %{ $self->{timers} };
    return unless @times;
    my ($next) = sort { $a <=> $b } @times;
    return $next > $now ? $next - $now : 0;
}

sub _after {
    my ($self, $name, $seconds, $act) = @_;
    $self->{timers}{$name} = [Time::HiRes::time() + $seconds, $act];
    return;
}

# In a forked worker: what belongs to the supervisor alone is closed.
sub abandon {
    my ($self) = @_;
    $self->{leaving} = 1;
    close $_->{socket} for values %{ $self->{connections} }, values %{ $self->{crew}{workers} };
    close $_ for @$self{qw(server woken wake)};
    $SIG{$_} = 'DEFAULT' for qw(TERM CHLD PIPE);
    return;
}

# ---- asked by connections ----

sub hello {
    my ($self) = @_;
    my $state = $self->{state} eq 'specialising' ? 'generic' : $self->{state};
    return { version => 1, runtime => 'perl', language => sprintf('%vd', $^V), pid => $$, state => $state };
}

sub counted { $_[0]{in_flight}++; return }

sub answered {
    my ($self) = @_;
    return if --$self->{in_flight};
    $_->() for splice @{ $self->{drains} };
    return;
}

sub request {
    my ($self, $exchange) = @_;
    return $self->{crew}->request($exchange) if $self->{state} eq 'specialised';
    return $exchange->reset('overloaded', "this instance is $self->{state} and takes no requests here");
}

sub opened {
    my ($self, $connection) = @_;
    if ($connection->{role} eq 'control') {
        delete $self->{timers}{alone};
        $self->_after('warm', 0, sub { $self->{crew}->warm_up }) unless $self->{warm}++;
    }
    $connection->goaway if $self->{draining};
    return;
}

sub closed {
    my ($self, $connection) = @_;
    delete $self->{connections}{$connection};
    my $controls = grep { $_->{role} eq 'control' } values %{ $self->{connections} };
    $self->_alone($self->{options}{control_grace}) if $connection->{role} eq 'control' && !$controls;
    return;
}

# Without a platform the instance ends.
sub _alone {
    my ($self, $seconds) = @_;
    return $self->_after('alone', $seconds, sub { $self->leave(0) });
}

sub call {
    my ($self, $connection, $call) = @_;
    my $answer = sub { $connection->send(encode(RESULT, 0, json({ id => $call->{id} + 0, @_ }))) };
    my $params = ref $call->{params} eq 'HASH' ? $call->{params} : {};
    my $method = $call->{method};
    if ($method eq 'specialise') { $self->_specialise($params, $answer) }
    elsif ($method eq 'health') { $answer->(result => { state => $self->hello->{state}, inFlight => $self->{in_flight} }) }
    elsif ($method eq 'drain') {
        $self->_drain(($params->{graceMs} // 30000) / 1000, sub { $answer->(result => { left => $self->{in_flight} }) });
    }
    elsif ($method eq 'shutdown') { $answer->(result => {}); $self->leave(0) }
    else { $answer->(error => { code => 'BadRequest', message => "no such method: $method" }) }
    return;
}

# ---- specialise ----

sub _specialise {
    my ($self, $params, $answer) = @_;
    if (my $wrong = $self->_problem($params)) { return $answer->(error => $wrong) }
    $self->{state} = 'specialising';
    $self->{began} = Time::HiRes::time();
    $self->{answer} = $answer;
    $self->{development} = $params->{development};
    my $limit = $self->{options}{load};
    $self->_after('load', $limit, sub {
        my $message = ($params->{entry} // 'the package') . " did not finish loading within $limit s";
        $self->failed({ code => 'LoadError', message => $message, detail => $message });
    });
    return $self->{crew}->specialise($params);
}

my %KINDS = (
    (map { $_ => qr/^/ } qw(code entry handler shape cache workdir function namespace)),
    (map { $_ => qr/^-?\d+(?:\.\d+)?$/ } qw(port concurrency timeoutMs)),
);

sub _problem {
    my ($self, $params) = @_;
    return { code => 'AlreadySpecialised', message => "this instance is $self->{state} already" } if $self->{state} ne 'generic';
    for my $name (sort keys %KINDS) {
        my $value = $params->{$name};
        next if defined $value ? !ref $value && $value =~ $KINDS{$name} : $name ne 'code';
        return { code => 'BadRequest', message => "specialise: $name has the wrong type" };
    }
    return { code => 'BadRequest', message => 'specialise: env has the wrong type' } if $params->{env} && ref $params->{env} ne 'HASH';
    return { code => 'BadRequest', message => "specialise: $params->{code} is not a directory" } unless -d $params->{code};
    return;
}

sub loaded {
    my ($self, $result) = @_;
    return if $self->{state} ne 'specialising';    # a further worker
    delete $self->{timers}{load};
    $self->{state} = 'specialised';
    my $took = int((Time::HiRes::time() - $self->{began}) * 100000) / 100;
    $self->{answer}->(result => { shape => $result->{shape}, loadMs => $took, transport => { kind => 'mux' } });
    return;
}

sub failed {
    my ($self, $error) = @_;
    if ($self->{state} eq 'specialising') {
        $self->{state} = 'failed';
        $self->{answer}->(error => $error);
        $self->leave(1);
    }
    # A further worker cannot load what the first one could: a file or what it needs is gone.
    return $self->crash({ reason => 'load', message => $error->{message}, detail => $error->{detail} // $error->{message}, code => 1 });
}

# ---- the end ----

# Takes no new requests; calls $then when none is left, or the time is over.
sub _drain {
    my ($self, $seconds, $then) = @_;
    $self->{draining} = 1;
    $_->goaway for values %{ $self->{connections} };
    return $then->() unless $self->{in_flight};
    my $name = 'drain ' . Time::HiRes::time();
    my $once = sub {
        delete $self->{timers}{$name};
        my $act = $then;
        undef $then;
        $act->() if $act;
    };
    $self->_after($name, $seconds, $once);
    push @{ $self->{drains} }, $once;
    return;
}

# $crash: reason, message, detail, code
sub crash {
    my ($self, $crash) = @_;
    $self->{state} = 'failed';
    my @connections = values %{ $self->{connections} };
    $_->goaway for @connections;    # first, so that nothing new is sent here
    my $told = $self->{development} ? $crash->{message} : 'the instance crashed while it worked on this request';
    my %event = (event => 'failed', map { $_ => $crash->{$_} } qw(reason message detail));
    for my $connection (@connections) {
        $_->reset('crashed', $told) for values %{ $connection->{exchanges} };
        $connection->send(encode(EVENT, 0, json(\%event))) if $connection->{role} eq 'control';
    }
    return $self->leave($crash->{code} || 1);
}

sub leave {
    my ($self, $code) = @_;
    $self->{leaving} = 1;
    $_->flush(1) for values %{ $self->{connections} };
    kill KILL => $_->{pid} for values %{ $self->{crew}{workers} };
    POSIX::_exit($code);
}

1;
