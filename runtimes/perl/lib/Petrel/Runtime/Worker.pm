package Petrel::Runtime::Worker;

# A process that loads the user's code and works on one request at a time. The code itself is loaded by supervisor.pl, outside of
# any lexical scope of the runtime.

use strict;
use warnings;
use Cwd ();
use Petrel::Request;
use Petrel::Response;
use Petrel::Runtime::Answer;
use Petrel::Runtime::Call;
use Petrel::Runtime::Errors;
use Petrel::Runtime::Frames;
use Petrel::Runtime::Psgi;
use Petrel::Runtime::Recognise;
use POSIX ();

my $current;    # the worker of this process

# Where exit was called is what its message lacks. In place before user code is compiled.
sub watch_exit {
    no warnings 'once';
    *CORE::GLOBAL::exit = sub {
        my $code = $_[0] // 0;
        my (undef, $file, $line) = caller;
        $current->{exit} //= "exit($code) was called at $file line $line" if $current;
        CORE::exit($code);
    };
    return;
}

sub new {
    my ($class, $socket) = @_;
    # The kernel ends this process with its supervisor, however that ends (prctl(PR_SET_PDEATHSIG, SIGKILL)).
    my $prctl = { x86_64 => 157, aarch64 => 167 }->{ (POSIX::uname())[4] };
    syscall $prctl, 1, 9 if $^O eq 'linux' && $prctl;
    $current = bless { channel => Petrel::Runtime::Channel->new($socket), phase => 'generic', entry => '', said => '' }, $class;
    srand;    # forked processes would have the same random numbers
    return $current;
}

# Waits for what is to be loaded, and gets everything ready for it; `entry` is its path then.
sub begin {
    my ($self) = @_;
    my $frame;
    do { $frame = $self->{channel}->next(1) } while $frame->[0] != LOAD;
    $self->{phase} = 'loading';
    my $params = $self->{params} = object_of($frame->[2]);
    eval { $self->_prepare($params); 1 } or $self->failed($@);
    return;
}

sub _prepare {
    my ($self, $params) = @_;
    my $root = Cwd::realpath($params->{code});
    $Petrel::Runtime::Errors::root = $root;
    $Petrel::Runtime::Errors::development = $params->{development};
    my $env = $params->{env} || {};
    $ENV{$_} = $env->{$_} for keys %$env;
    $ENV{PLACK_ENV} //= 'deployment';    # frameworks see by it that they are to return an application
    $ENV{PORT} //= $params->{port} if defined $params->{port};
    chdir($params->{workdir} // $root) or die "cannot enter the working directory: $!\n";
    my $entry = $self->{entry} = Petrel::Runtime::Recognise::entry($root, $params->{entry});
    if (($params->{shape} // '') eq 'program') {
        Petrel::Runtime::Errors::refuse('BadRequest',
            'the perl runtime loads handlers and PSGI applications; a program that listens on $PORT is deployed with a Procfile, '
                . 'for example "web: perl app.pl daemon -l http://127.0.0.1:$PORT", or with --command');
    }
    (my $folder = $entry) =~ s{/[^/]*$}{};
    my %seen;
    # Carton and cpanm put what they fetch into local/.
    unshift @INC, grep { -d && !$seen{$_}++ } "$root/lib", "$root/local/lib/perl5", $root, $folder;
    $0 = $entry;
    $SIG{__WARN__} = sub { $self->{said} = $_[0]; print STDERR $_[0] };
    return;
}

# The file has been loaded; answers requests from now on.
sub serve {
    my ($self, $returned) = @_;
    my $params = $self->{params};
    my $shape = ($params->{shape} // '') =~ /^(psgi|request)$/ ? $1 : undef;
    my ($found, $code) = eval { Petrel::Runtime::Recognise::find($self->{entry}, $returned, $params->{handler}, $shape) };
    $self->failed($@) if $@;
    eval { Petrel::Runtime::Recognise::not_found($self->{entry}, $returned, $params->{handler}) } or $self->failed($@) unless $code;
    $self->{phase} = 'idle';
    $self->{channel}->send(encode(LOADED, 0, json({ shape => $found })) . encode(READY, 0));
    my $work = $found eq 'psgi' && !$shape && $self->{entry} !~ /\.psgi$/
        ? sub { Petrel::Runtime::Psgi::serve_either($_[0], $code) }
        : $found eq 'psgi' ? sub { Petrel::Runtime::Psgi::serve($_[0], $code) }
        : sub { Petrel::Runtime::Answer::respond($_[0], scalar $code->(Petrel::Request->new($_[0]))) };
    while (1) {
        my $frame = $self->{channel}->next(1);
        next unless $frame->[0] == REQUEST || $frame->[0] == REQUEST_BODY;
        my $call = $self->{call} = Petrel::Runtime::Call->new($self->{channel}, @$frame[1, 2], $frame->[0] == REQUEST_BODY);
        $self->{phase} = 'request';
        if (!Petrel::Runtime::Answer::refuses_upgrade($call)) {
            local $@;
            eval { $work->($call); 1 } or $self->_died($call, $@);
        }
        $self->{phase} = 'idle';
        $call->done;
    }
    return;
}

sub _died {
    my ($self, $call, $error) = @_;
    return if ref $error eq 'Petrel::Runtime::Aborted';
    eval { Petrel::Runtime::Answer::fail($call, $error); 1 } or die $@ unless $call->{finished};
    return;
}

# The code could not be loaded.
sub failed {
    my ($self, $error) = @_;
    $self->{channel}->send(encode(FAILED, 0, json(Petrel::Runtime::Errors::of_loading($error, Petrel::Runtime::Errors::relative($self->{entry})))));
    $Petrel::Runtime::Channel::silent = 1;
    CORE::exit(1);
}

# The process ends although it should not: the code called exit.
END {
    if ($current && !$Petrel::Runtime::Channel::silent && $current->{phase} ne 'idle' && $current->{phase} ne 'generic') {
        my $code = $?;
        my $said = Petrel::Runtime::Errors::text($current->{said});
        my $text = Petrel::Runtime::Errors::relative($current->{exit} // 'the process ended') . ($said eq '' ? '' : ": $said");
        if ($current->{phase} eq 'loading') {
            my $file = Petrel::Runtime::Errors::relative($current->{entry});
            my $message = "$text, while $file was loaded";
            $current->{channel}->send(encode(FAILED, 0, json({ code => 'LoadError', message => $message, file => $file, detail => $message })));
        }
        else {
            my $call = $current->{call};
            my $crash = { reason => 'exit', message => $text, detail => "$text\nwhile it worked on $call->{method} $call->{target}" };
            $current->{channel}->send(encode(CRASH, 0, json($crash)));
        }
        $? = $code;
    }
}

1;
