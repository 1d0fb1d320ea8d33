package Petrel::Runtime::Exchange;

# One request as the supervisor sees it: what is held until a worker takes it, and what has to be forwarded.

use strict;
use warnings;
use Petrel::Runtime::Frames;
use Time::HiRes ();

my $count = 0;

sub new {
    my ($class, $connection, $stream, $head, $has_body) = @_;
    # Its number on the channel of the worker that works on it.
    my $id = $count = ($count + 1) & 0xffffffff;
    return bless {
        connection => $connection, stream => $stream, id => $id, began => Time::HiRes::time(), ended => !$has_body, received => 0,
        allowed => WINDOW_SIZE, held => encode($has_body ? REQUEST_BODY : REQUEST, $id, $head), finished => 0, worker => undef,
    }, $class;
}

sub assign {
    my ($self, $worker) = @_;
    $self->{worker} = $worker;
    $worker->send($self->{held});
    $self->{held} = '';
    return;
}

# Something of the gateway for who works on it, now or later.
sub _forward {
    my ($self, $frame) = @_;
    if ($self->{worker}) { $self->{worker}->send($frame) }
    else { $self->{held} .= $frame }
    return;
}

sub receive {
    my ($self, $chunk) = @_;
    protocol_error("DATA after END on stream $self->{stream}") if $self->{ended};
    $self->{received} += length $chunk;
    protocol_error("stream $self->{stream} sent past its window") if $self->{received} > $self->{allowed};
    return $self->_forward(encode(DATA, $self->{id}, $chunk));
}

sub receive_end {
    my ($self) = @_;
    protocol_error("a second END on stream $self->{stream}") if $self->{ended};
    $self->{ended} = 1;
    return $self->_forward(encode(ENDED, $self->{id}));
}

sub granted { return $_[0]->_forward(encode(WINDOW, $_[0]{id}, $_[1])) }

# A frame of the worker for the gateway.
sub answer {
    my ($self, $kind, $payload) = @_;
    return if $self->{finished};
    if ($kind == WINDOW) {
        return if $self->{ended};
        $self->{allowed} += unpack 'V', $payload;
    }
    $self->{connection}->send(encode($kind, $self->{stream}, $payload));
    $self->_over if $kind == RESPONSE || $kind == ENDED || $kind == RESET;
    return;
}

sub reset {
    my ($self, $code, $message) = @_;
    return if $self->{finished};
    $self->{connection}->send(encode(RESET, $self->{stream}, json({ code => $code, message => $message })));
    return $self->_over;
}

# The gateway wants no answer any more.
sub cancelled {
    my ($self, $code, $message) = @_;
    return if $self->{finished};
    $self->_over;
    $self->{worker}->send(encode(RESET, $self->{id}, json({ code => $code, message => $message }))) if $self->{worker};
    return;
}

sub _over {
    my ($self) = @_;
    $self->{finished} = 1;
    $self->{connection}->forget($self->{stream});
    return;
}

1;
