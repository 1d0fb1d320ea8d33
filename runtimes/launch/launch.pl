#!/usr/bin/perl
# The supervisor of runtimes whose functions are programs of their own: Go, Rust, whatever makes a binary. It speaks
# runtimes/PROTOCOL.md on the socket named by PETREL_SOCKET and starts the function when it is told which; README.md says what
# the two say to each other. Usage: launch.pl <name of the runtime>
use strict;
use warnings;
BEGIN { unshift @INC, (__FILE__ =~ m{^(.*/)} ? $1 : './') . 'lib' }
use POSIX ();
use Socket qw(AF_UNIX AF_INET SOCK_STREAM INADDR_LOOPBACK pack_sockaddr_un pack_sockaddr_in unpack_sockaddr_in);
use Petrel::Child;
use Petrel::Connection;
use Petrel::Debugger;
use Petrel::Json;
use Petrel::Package;

my $runtime = shift @ARGV or die "usage: launch.pl <runtime>\n";
my $socket  = $ENV{PETREL_SOCKET} // '';
if ($socket eq '') {
    print STDERR "petrel: PETREL_SOCKET is not set: the $runtime runtime is started by the platform\n";
    exit 2;
}
# Milliseconds: life after the last control connection, life without any ever, loading, requests in flight at SIGTERM.
my $control_grace = $ENV{PETREL_CONTROL_GRACE_MS} // 10_000;
my $orphan        = $ENV{PETREL_ORPHAN_MS}        // 60_000;
my $load_timeout  = $ENV{PETREL_LOAD_TIMEOUT_MS}  // 30_000;
my $term_grace    = $ENV{PETREL_TERM_GRACE_MS}    // 25_000;
delete $ENV{$_} for grep { /^PETREL_/ } keys %ENV;

my $state = 'generic';    # loading, specialised, failed
my ($child, $target, $loading, $leaving);
my %connections;          # by file descriptor
my %timers;               # name => [when, what]
my %asked = (health => [], drain => []);    # calls that the handler will answer, oldest first

# Milliseconds of a clock that nobody sets. Time::HiRes is not in every Perl; where clock_gettime(2) has no known number, steps of ten do.
my $gettime = {x86_64 => 228, aarch64 => 113}->{(POSIX::uname())[4]};
my $ticks   = POSIX::sysconf(POSIX::_SC_CLK_TCK());

sub now {
    return (POSIX::times())[0] * 1000 / $ticks if !$gettime;
    my $time = "\0" x 16;
    syscall $gettime, 1, $time;
    my ($seconds, $nanoseconds) = unpack 'qq', $time;
    return $seconds * 1000 + $nanoseconds / 1e6;
}
sub after { my ($name, $ms, $what) = @_; $timers{$name} = [now() + $ms, $what]; return }

# ---- the end of this process ----

sub leave {
    my ($code) = @_;
    if ($child && $child->{pid}) {
        $child->signal('KILL');
        waitpid $child->{pid}, 0;
        $child->take_errors;
    }
    POSIX::_exit($code);
}

# Lets the function end in order, then this process.
sub stop {
    return leave(0) if !$child || !$child->{pid} || $state ne 'specialised';
    return if $leaving;
    $leaving = 1;
    $child->tell('end') if $child->{channel};
    $child->signal('TERM');
    after(stop => $term_grace, sub { leave(0) });
    return;
}

# ---- specialise ----

sub check {
    my ($params) = @_;
    return 'code must be a string' if !defined $params->{code} || ref $params->{code};
    for my $name (qw(entry handler shape cache workdir namespace function revision)) {
        return "$name must be a string" if ref $params->{$name};
    }
    for my $name (qw(port timeoutMs concurrency debugPort)) {
        return "$name must be a number" if defined $params->{$name} && $params->{$name} !~ /^\d+(?:\.\d+)?$/;
    }
    return 'env must be an object' if defined $params->{env} && ref $params->{env} ne 'HASH';
    return "$params->{code} is not a directory" if !-d $params->{code};
    return undef;
}

sub specialise {
    my ($connection, $id, $params) = @_;
    return $connection->refuse($id, 'AlreadySpecialised', "this instance is $state already") if $state ne 'generic';
    my $wrong = check($params);
    return $connection->refuse($id, 'BadRequest', "specialise: $wrong") if defined $wrong;
    $state   = 'loading';
    $loading = {connection => $connection, id => $id, params => $params, begin => now()};
    $target  = eval { Petrel::Package::target(@$params{qw(code entry shape)}) };
    if (!$target) { return load_failed(ref $@ ? $@ : {code => 'LoadError', message => "$@"}) }
    my %env = (%ENV, %{ $params->{env} // {} });
    $env{PORT} //= $params->{port} if defined $params->{port};
    my $what = $params->{function} // 'function';
    $0 = "$runtime " . ($params->{namespace} // 'default') . "/$what";
    my %how = (
        path  => $target->{path},
        label => $target->{label},
        cwd   => $params->{workdir} // $params->{code},
        env   => \%env,
    );
    $how{debugged} = 1 if defined debugger($params);
    my $started = eval { $target->{kind} eq 'handler' ? start_handler(\%how) : start_program(\%how, $params->{port}); 1 };
    load_failed({code => 'LoadError', message => "$@" =~ s/\s+\z//r}) if !$started;
    return;
}

sub start_handler {
    my ($how) = @_;
    my $path = $socket =~ s{[^/]*\z}{h.sock}r;
    unlink $path;
    CORE::socket my $http, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
    bind $http, pack_sockaddr_un($path) or die "cannot listen on h.sock: $!\n";
    listen $http, 4096;
    $child = Petrel::Child->start(%$how, http => $http);
    my $params = $loading->{params};
    debugged($how, sub {
        $child->tell(join ' ', 'specialise', map { $_ . '=' . ($params->{$_} || 0) } qw(development timeoutMs concurrency));
    });
    after(load => $load_timeout, sub {
        load_failed({code => 'LoadError', message => 'the function did not finish loading within ' . $load_timeout / 1000 . ' s', words()});
    });
    return;
}

sub start_program {
    my ($how, $port) = @_;
    die "a program needs a port to listen on\n" if !$port;
    die "port $port is taken: another process of this machine listens on it\n" if accepts($port);
    $how->{env}{PORT} = $port;
    $child = Petrel::Child->start(%$how);
    my $wait = 2;
    my $look;
    $look = sub {
        return loaded('program', undef, Petrel::Json::object(kind => 'http1', host => '127.0.0.1', port => \$port)) if accepts($port);
        return load_failed({code => 'LoadError', message => "$how->{label} did not listen on port $port (\$PORT) within " . $load_timeout / 1000 . ' s', words()})
          if now() - $loading->{begin} > $load_timeout;
        $wait = $wait * 1.5 > 50 ? 50 : $wait * 1.5;
        after(load => $wait, $look);
    };
    debugged($how, sub { after(load => $wait, $look) });
    return;
}

# The debugger that the package has, where one is asked for.
sub debugger {
    my ($params) = @_;
    return $params->{debugPort} ? Petrel::Debugger::of($params->{code}) : undef;
}

# Goes on with `$then`, at once or when a debugger holds the function.
sub debugged {
    my ($how, $then) = @_;
    my $params = $loading->{params};
    my $delve = debugger($params);
    return $then->() if !defined $delve;
    # The revision before has the port until its requests are over.
    my ($port) = grep { !accepts($_) } map { $params->{debugPort} + $_ } 0 .. 3;
    die "no debugger can listen on the ports $params->{debugPort} to @{[$params->{debugPort} + 3]}: they are taken\n" if !defined $port;
    my ($pid, $debugger, $look) = ($child->{pid});
    $look = sub {
        return if !$child->{pid};
        if ($debugger && $debugger->ended) {
            return load_failed({code => 'LoadError', message => "dlv could not attach to the function; its own words are in the log (petrel logs $params->{function})"});
        }
        if ($debugger && Petrel::Debugger::holds($pid)) {
            print STDERR "Debugger listening on 127.0.0.1:$port\n";
            return $then->();
        }
        $debugger ||= Petrel::Debugger->start(delve => $delve, pid => $pid, path => $how->{path}, port => $port)
          if Petrel::Debugger::begun($pid, $how->{path});
        after(debugger => 10, $look);
    };
    return $look->();
}

sub accepts {
    my ($port) = @_;
    CORE::socket my $probe, AF_INET, SOCK_STREAM, 0 or return 0;
    # A connection from a port to itself, which TCP allows, is nobody who listens.
    my $open = connect($probe, pack_sockaddr_in($port, INADDR_LOOPBACK)) && (unpack_sockaddr_in(getsockname $probe))[0] != $port;
    close $probe;
    return $open;
}

sub loaded {
    my ($shape, $ms, $transport) = @_;
    delete $timers{load};
    $state = 'specialised';
    $ms //= sprintf '%.2f', now() - $loading->{begin};
    $loading->{connection}->answer($loading->{id}, Petrel::Json::object(shape => $shape, loadMs => \$ms, transport => \$transport));
    undef $loading;
    return;
}

# What the function has said at its end, as fields of an error.
sub words {
    $child->take_errors;
    my $said = Petrel::Package::last_words($child->{tail}, $target->{about}, $loading ? $loading->{params}{code} : '');
    return map { $_ => $said->{$_} } grep { defined $said->{$_} && $said->{$_} ne '' } keys %$said;
}

# Answers with an error, and ends: half-loaded code may hold anything.
sub load_failed {
    my ($error) = @_;
    $state = 'failed';
    my $json = ref $error eq 'HASH' ? error_json($error) : $error;
    $loading->{connection}->fail($loading->{id}, $json);
    return leave(1);
}

sub error_json {
    my ($error) = @_;
    my %numbers = map { $_ => \"$error->{$_}" } grep { defined $error->{$_} } qw(line column);
    return Petrel::Json::object(map { $_ => $numbers{$_} // $error->{$_} } qw(code message file line column detail));
}

# ---- the function's process ----

sub heard {
    my ($line) = @_;
    my ($verb, $rest) = $line =~ /^(\w+) ?(.*)/s or return;
    if ($verb eq 'ready' && $loading) {
        my ($shape, $ms) = split / /, $rest;
        loaded($shape, $ms, '{"kind":"http1-unix"}');
    }
    elsif ($verb eq 'error' && $loading) { load_failed($rest) }
    elsif ($verb eq 'health' && (my $asker = shift @{ $asked{health} })) {
        $asker->[0]->answer($asker->[1], Petrel::Json::object(state => $state, inFlight => \$rest));
    }
    elsif ($verb eq 'left' && (my $drainer = shift @{ $asked{drain} })) {
        $drainer->[0]->answer($drainer->[1], Petrel::Json::object(left => \$rest));
    }
    return;
}

sub child_ended {
    my $status = $child->ended;
    return if !defined $status;
    my $code = $status & 127 ? 128 + ($status & 127) : $status >> 8;
    return leave(0) if $leaving;
    my %said = words();
    my $ending = Petrel::Package::ending($status);
    if ($loading) {
        my $before = $target->{kind} eq 'program' ? "listened on port $loading->{params}{port}" : 'was ready';
        return load_failed({%said, code => 'LoadError', message => $said{message} // "$target->{label} ended $ending before it $before"});
    }
    my $event = Petrel::Json::object(
        event   => 'failed',
        reason  => defined $said{message} ? 'panic' : $status & 127 ? 'signal' : 'exit',
        message => $said{message} // "the function ended $ending",
        detail  => $said{detail},
    );
    $_->event($event) for values %connections;
    return leave($code || 1);
}

# ---- calls ----

sub ask {
    my ($connection, $id, $what, $line, $without) = @_;
    return $connection->answer($id, $without) if !$child || !$child->{channel} || $state ne 'specialised';
    push @{ $asked{$what} }, [$connection, $id];
    return $child->tell($line);
}

my %methods = (
    specialise => \&specialise,
    health     => sub {
        my ($connection, $id) = @_;
        my $shown = $state eq 'loading' ? 'generic' : $state;
        return ask($connection, $id, 'health', 'health', Petrel::Json::object(state => $shown, inFlight => \0));
    },
    drain => sub {
        my ($connection, $id, $params) = @_;
        my $grace = $params->{graceMs} // 30_000;
        return $connection->refuse($id, 'BadRequest', 'drain: graceMs must be a number') if $grace !~ /^\d+(?:\.\d+)?$/;
        return ask($connection, $id, 'drain', 'drain ' . int $grace, '{"left":0}');
    },
    shutdown => sub {
        my ($connection, $id) = @_;
        $connection->answer($id, '{}');
        return stop();
    },
);

my $hello = sub {
    my $shown = $state eq 'loading' ? 'generic' : $state;
    return Petrel::Json::object(version => \1, runtime => $runtime, language => $runtime, pid => \$$, state => $shown);
};
my $call = sub {
    my ($connection, $id, $method, $params) = @_;
    my $do = $methods{$method} or return $connection->refuse($id, 'BadRequest', "no such method: $method");
    return $do->($connection, $id, $params);
};

# ---- the life of this process ----

pipe my $woken, my $wake or die "pipe: $!\n";
my %pending;
$SIG{PIPE} = 'IGNORE';
for my $signal (qw(TERM CHLD)) {
    $SIG{$signal} = sub { $pending{$signal} = 1; syswrite $wake, 'x' };
}

CORE::socket my $listener, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
unlink $socket;
if (!bind($listener, pack_sockaddr_un($socket)) || !listen $listener, 64) {
    print STDERR "petrel: cannot listen on $socket: $!\n";
    exit 2;
}
after(lonely => $orphan, sub { leave(0) });

sub closed {
    my ($connection) = @_;
    delete $connections{fileno $connection->{socket}};
    close $connection->{socket};
    return if !$connection->{greeted} || grep { $_->{greeted} } values %connections;
    after(lonely => $control_grace, sub { leave(0) });
    return;
}

while (1) {
    my @handles = ($listener, $woken, map { $_->{socket} } values %connections);
    push @handles, grep { defined } @$child{qw(errors channel)} if $child;
    my $set = '';
    vec($set, fileno $_, 1) = 1 for @handles;
    my ($next) = sort { $a <=> $b } map { $_->[0] } values %timers;
    my $wait = defined $next ? ($next - now()) / 1000 : undef;
    my $found = select $set, undef, undef, defined $wait && $wait < 0 ? 0 : $wait;
    $set = '' if $found <= 0;
    my $ready = sub { my ($handle) = @_; return defined $handle && defined fileno $handle && vec $set, fileno $handle, 1 };

    if ($ready->($woken)) { sysread $woken, my $ignored, 512 }
    if ($child) {
        if ($ready->($child->{errors}) && !$child->take_errors) { undef $child->{errors} }
        if ($ready->($child->{channel})) {
            my $lines = $child->take_lines;
            if   ($lines) { heard($_) for @$lines }
            else          { undef $child->{channel} }
        }
    }
    if (delete $pending{CHLD} && $child) { child_ended() }
    if (delete $pending{TERM}) { stop() }
    if ($ready->($listener) && accept my $accepted, $listener) {
        $connections{fileno $accepted} = Petrel::Connection->new($accepted, hello => $hello, call => $call);
    }
    for my $connection (grep { $ready->($_->{socket}) } values %connections) {
        my $new = !$connection->{greeted};
        if (!$connection->take) { closed($connection) }
        elsif ($new && $connection->{greeted}) { delete $timers{lonely} }
    }
    for my $name (keys %timers) {
        next if !$timers{$name} || $timers{$name}[0] > now();
        my $what = delete $timers{$name};
        $what->[1]->();
    }
}
