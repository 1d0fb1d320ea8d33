package Petrel::Runtime::Channel;

# The worker's end of its socket to the supervisor. Blocks.

use strict;
use warnings;
use Petrel::Runtime::Frames;

# The supervisor is gone: nobody is told of anything any more.
our $silent = 0;

sub new {
    my ($class, $socket) = @_;
    return bless { socket => $socket, held => '', frames => [] }, $class;
}

sub _gone {
    $silent = 1;
    CORE::exit(0);
}

# The next frame, [kind, stream, payload]; undef when there is none yet and $wait is false. Without a supervisor the process ends.
sub next {
    my ($self, $wait) = @_;
    while (!@{ $self->{frames} }) {
        if (!$wait) {
            vec(my $read = '', fileno $self->{socket}, 1) = 1;
            return unless select($read, undef, undef, 0) > 0;
        }
        my $count = sysread $self->{socket}, $self->{held}, READ_SIZE, length $self->{held};
        next if !defined $count && $!{EINTR};
        _gone() unless $count;
        $self->{frames} = [cut(\$self->{held})];
    }
    return shift @{ $self->{frames} };
}

sub send {
    my ($self, $bytes) = @_;
    my $at = 0;
    while ($at < length $bytes) {
        my $sent = syswrite $self->{socket}, $bytes, length($bytes) - $at, $at;
        if (defined $sent) { $at += $sent }
        elsif (!$!{EINTR}) { _gone() }
    }
    return;
}

package Petrel::Runtime::Aborted;

# The request has ended early: the client went away, or its time is over. `code` is the reset's code.

use overload '""' => sub { "$_[0]{message}\n" }, fallback => 1;

sub throw {
    my ($class, $code, $message) = @_;
    die bless { code => $code, message => $message }, $class;
}

package Petrel::Runtime::Call;

# One request and its response, as the worker that works on it sees them.

use strict;
use warnings;
use Petrel::Runtime::Frames;

use constant { INLINE_BODY => 65536, GRANT_STEP => WINDOW_SIZE / 4 };

sub new {
    my ($class, $channel, $id, $head, $has_body) = @_;
    my ($first, @lines) = split /\r\n/, $head;
    my ($method, $target) = split / /, $first, 2;
    my @headers;    # [name in lower case, latin1 value]
    for my $line (@lines) {
        push @headers, [$1, $2] if $line =~ /^([^:]+):[ \t]*(.*?)[ \t]*$/;
    }
    return bless {
        channel => $channel, id => $id, method => $method, target => $target, headers => \@headers, ended => !$has_body, queue => [],
        consumed => 0, window => WINDOW_SIZE, started => 0, finished => 0, aborted => undef, ready => undef,
    }, $class;
}

# The first header of that name.
sub header {
    my ($self, $name) = @_;
    for my $pair (@{ $self->{headers} }) { return $pair->[1] if $pair->[0] eq $name }
    return;
}

sub request_id { return $_[0]->header('x-request-id') // '' }
sub scheme { return ($_[0]->header('x-forwarded-proto') // '') eq 'https' ? 'https' : 'http' }

# The client's address, as the gateway saw it.
sub client {
    my ($self) = @_;
    return ($self->header('x-forwarded-for') // '') =~ /([^,\s]+)\s*$/ ? $1 : undef;
}

sub cancelled {
    my ($self) = @_;
    $self->_listen(0);
    return defined $self->{aborted};
}

# Takes in what the gateway has said; waits for one frame if asked to.
sub _listen {
    my ($self, $wait) = @_;
    while (my $frame = $self->{channel}->next($wait)) {
        my ($kind, $stream, $payload) = @$frame;
        next if $stream != $self->{id};    # late, for one that is over
        $wait = 0;
        if ($kind == DATA) { push @{ $self->{queue} }, $payload }
        elsif ($kind == ENDED) { $self->{ended} = 1 }
        elsif ($kind == WINDOW) { $self->{window} += unpack 'V', $payload }
        elsif ($kind == RESET) {
            $self->{aborted} ||= object_of($payload);
            $self->{finished} = 1;
        }
    }
    return;
}

sub _check {
    my ($self) = @_;
    Petrel::Runtime::Aborted->throw(@{ $self->{aborted} }{qw(code message)}) if $self->{aborted};
    return;
}

# The next bytes of the body, undef at its end. Blocks. Dies with Aborted.
sub read_chunk {
    my ($self) = @_;
    while (1) {
        if (defined(my $chunk = shift @{ $self->{queue} })) {
            next if $chunk eq '';
            $self->{consumed} += length $chunk;
            if ($self->{consumed} >= GRANT_STEP && !$self->{ended} && !$self->{finished}) {
                $self->{channel}->send(encode(WINDOW, $self->{id}, pack 'V', $self->{consumed}));
                $self->{consumed} = 0;
            }
            return $chunk;
        }
        return if $self->{ended};
        $self->_check;
        Petrel::Runtime::Aborted->throw('complete', 'the response is complete') if $self->{finished};
        $self->_listen(1);
    }
}

# Head and whole body.
sub respond {
    my ($self, $status, $block, $body) = @_;
    return if $self->{finished} || $self->{started};
    my $bodyless = $self->{method} eq 'HEAD' || $status == 304;
    if ($bodyless || length $body > INLINE_BODY) {
        $block .= 'content-length: ' . length($body) . "\r\n" unless $block =~ /^content-length: /m || $status == 304 && $body eq '';
        $self->start($status, $block);
        $self->write($body) unless $bodyless;
        return $self->finish;
    }
    @$self{qw(started finished)} = (1, 1);
    my $payload = pack('vV', $status, length $block) . $block . ($status == 204 ? '' : $body);
    $self->{channel}->send(encode(RESPONSE, $self->{id}, $payload) . $self->_and_ready);
    return;
}

# The head; the body follows with `write` and `finish`.
sub start {
    my ($self, $status, $block) = @_;
    return if $self->{finished} || $self->{started};
    $self->{started} = 1;
    $self->{channel}->send(encode(RESPONSE_BODY, $self->{id}, pack('vV', $status, length $block) . $block));
    return;
}

# Sends all of it, waiting for the window. Dies with Aborted.
sub write {
    my ($self, $body) = @_;
    $self->_listen(0);
    my ($at, $total) = (0, length $body);
    while ($at < $total && $self->{method} ne 'HEAD') {
        $self->_check;
        my ($size) = sort { $a <=> $b } $total - $at, $self->{window}, MAX_DATA;
        if (!$size) { $self->_listen(1); next }
        $self->{window} -= $size;
        $self->{channel}->send(encode(DATA, $self->{id}, substr $body, $at, $size));
        $at += $size;
    }
    return $self->_check;
}

sub finish {
    my ($self) = @_;
    return if $self->{finished};
    $self->{finished} = 1;
    $self->{channel}->send(encode(ENDED, $self->{id}));
    return;
}

sub reset {
    my ($self, $code, $message) = @_;
    return if $self->{finished};
    $self->{finished} = 1;
    $self->{channel}->send(encode(RESET, $self->{id}, json({ code => $code, message => $message })));
    return;
}

# The handler has returned: whatever completes the answer also says that the next request may come. ready: undef not yet, 1 to be said, 0 said.
sub last { $_[0]{ready} //= 1; return }

sub _and_ready {
    my ($self) = @_;
    return '' unless $self->{ready};
    $self->{ready} = 0;
    return encode(READY, 0);
}

# Says that the next request may come, if that has not been said.
sub done {
    my ($self) = @_;
    $self->last;
    my $ready = $self->_and_ready;
    $self->{channel}->send($ready) if $ready ne '';
    return;
}

1;
