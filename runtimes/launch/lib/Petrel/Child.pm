package Petrel::Child;
# The process that is the function: started, listened to, ended.
use strict;
use warnings;
use Fcntl qw(F_DUPFD F_GETFL F_SETFL O_NONBLOCK O_RDONLY);
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

# Number of prctl(2), by which the kernel ends a process with its parent. Perl has no name for it.
my %PRCTL = (x86_64 => 157, aarch64 => 167);
my ($PR_SET_PDEATHSIG, $SIGKILL, $PR_SET_PTRACER) = (1, 9, 0x59616d61);
my $prctl = $PRCTL{(POSIX::uname())[4]};

# Bytes at the end of stderr that are kept for what is told of a crash.
my $TAIL = 16384;
# Descriptors that a handler finds: the socket it serves HTTP on, and the one on which it talks with the launcher.
my ($HTTP, $CHANNEL) = (3, 4);

# Starts `path` in `cwd` with exactly the variables of `env`. With `http`, a listening socket, it is a handler and gets a channel.
sub start {
    my ($class, %o) = @_;
    pipe my $errors, my $stderr or die "pipe: $!\n";
    my ($mine, $theirs);
    if ($o{http}) { socketpair $mine, $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!\n" }
    my $parent = $$;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM CHLD PIPE);
        end_with($parent);
        # A debugger is no ancestor of what it holds, which some kernels refuse otherwise.
        syscall $prctl, $PR_SET_PTRACER, -1 if $prctl && $o{debugged};
        POSIX::dup2(fileno $stderr, 2);
        my $null = POSIX::open('/dev/null', O_RDONLY);
        POSIX::dup2($null, 0);
        # Above all numbers in use first, so that one cannot overwrite the other.
        my @high = map { fcntl $_, F_DUPFD, 20 } $o{http} ? ($o{http}, $theirs) : ();
        POSIX::close($_) for $HTTP, $CHANNEL;
        POSIX::dup2($high[0], $HTTP), POSIX::dup2($high[1], $CHANNEL) if @high;
        POSIX::close($_) for @high;
        if (!chdir $o{cwd}) { fail("cannot enter $o{cwd}: $!") }
        %ENV = %{ $o{env} };
        no warnings 'exec';
        exec { $o{path} } $o{path}, @{ $o{args} // [] };
        fail("cannot run $o{label}: $!");
    }
    my $self = bless {pid => $pid, errors => $errors, tail => '', channel => $mine, in => ''}, $class;
    for my $handle (grep { defined } $errors, $mine) {
        fcntl $handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK;
    }
    return $self;
}

# Has this process, just forked, end when its parent does.
sub end_with {
    my ($parent) = @_;
    return if !$prctl;
    syscall $prctl, $PR_SET_PDEATHSIG, $SIGKILL;
    POSIX::_exit(1) if getppid != $parent;
    return;
}

sub fail {
    my ($message) = @_;
    syswrite STDERR, "petrel: $message\n";
    POSIX::_exit(126);
}

# Passes on what it has said on stderr, and keeps the end. False once nobody can write there any more.
sub take_errors {
    my ($self) = @_;
    while ($self->{errors}) {
        my $read = sysread $self->{errors}, my $chunk, 65536;
        return 1 if !defined $read;
        return 0 if $read == 0;
        syswrite STDERR, $chunk;
        $self->{tail} .= $chunk;
        substr($self->{tail}, 0, -$TAIL) = '' if length $self->{tail} > $TAIL;
    }
    return 0;
}

# Whole lines that it has said on its channel; undef when the channel has ended.
sub take_lines {
    my ($self) = @_;
    my $read = sysread $self->{channel}, $self->{in}, 65536, length $self->{in};
    return [] if !defined $read;
    return undef if $read == 0;
    my @lines;
    push @lines, $1 while $self->{in} =~ s/\A([^\n]*)\n//;
    return \@lines;
}

sub tell {
    my ($self, $line) = @_;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{channel}, "$line\n";
    return;
}

sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} if $self->{pid};
    return;
}

# Its wait status when it has ended, after its last words have been read; undef while it runs.
sub ended {
    my ($self) = @_;
    return undef unless $self->{pid} && waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
    my $status = $?;
    $self->{pid} = 0;
    $self->take_errors;
    return $status;
}

1;
