package Petrel::Debugger;
# Delve beside the function's process: it holds it before its code is loaded, lets it go on, and takes clients on a port of loopback.
use strict;
use warnings;
use Fcntl qw(O_WRONLY);
use POSIX ();
use Petrel::Child;

# What a build for debugging has put beside the binary.
my $DELVE = 'petrel-build/dlv';

# The debugger of a package, or undef where its build has made none.
sub of {
    my ($code) = @_;
    my $path = "$code/$DELVE";
    return -x $path ? $path : undef;
}

# Whether the process runs what it was started for: a fork is still Perl.
sub begun {
    my ($pid, $path) = @_;
    my $runs = readlink "/proc/$pid/exe";
    return defined $runs && $runs eq $path;
}

# Whether a debugger holds the process.
sub holds {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return 0;
    local $/;
    return <$in> =~ /^TracerPid:\s*[1-9]/m;
}

# Starts it on the process `pid`, which runs `path`. Dies when it cannot be.
sub start {
    my ($class, %o) = @_;
    my $parent = $$;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM CHLD PIPE);
        Petrel::Child::end_with($parent);
        my $null = POSIX::open('/dev/null', O_WRONLY);
        POSIX::dup2($null, 1);
        # It looks for settings there, and complains where it cannot write.
        $ENV{XDG_CONFIG_HOME} = ($ENV{TMPDIR} || '/tmp') . '/.delve';
        no warnings 'exec';
        exec {$o{delve}} 'dlv', 'attach', $o{pid}, $o{path}, '--headless', "--listen=127.0.0.1:$o{port}", '--accept-multiclient',
          '--continue', '--only-same-user=false', '--check-go-version=false';
        POSIX::_exit(126);
    }
    return bless {pid => $pid}, $class;
}

# Whether it has ended by itself.
sub ended {
    my ($self) = @_;
    $self->{over} ||= waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
    return $self->{over};
}

1;
