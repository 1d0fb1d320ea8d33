package Petrel::Runtime::Connection;

# One accepted connection of the instance's socket. `host` is the supervisor.

use strict;
use warnings;
use parent -norequire, 'Petrel::Runtime::Peer';
use Petrel::Runtime::Exchange;
use Petrel::Runtime::Frames;

sub new {
    my ($class, $socket, $host) = @_;
    return $class->SUPER::new($socket, host => $host, role => '', going_away => 0, last_stream => 0, exchanges => {});
}

sub forget {
    my ($self, $stream) = @_;
    delete $self->{exchanges}{$stream};
    return $self->{host}->answered;
}

sub goaway {
    my ($self) = @_;
    $self->send(encode(GOAWAY, 0)) if $self->{role} eq 'data' && !$self->{going_away};
    $self->{going_away} = 1;
    return;
}

sub gone {
    my ($self) = @_;
    for my $exchange (values %{ $self->{exchanges} }) {
        $self->{host}{crew}->cancel($exchange, 'cancelled', 'the connection to the gateway has closed');
    }
    return $self->{host}->closed($self);
}

sub frame {
    my ($self, $kind, $stream, $payload) = @_;
    return $self->_hello($kind, $payload) if $self->{role} eq '';
    return $self->_request($kind, $stream, $payload) if $kind == REQUEST || $kind == REQUEST_BODY;
    return $self->_on_stream($kind, $stream, $payload) if $kind >= DATA && $kind <= WINDOW;
    return if $kind == PONG || $kind > GOAWAY;
    return $self->_call($payload) if $kind == CALL;
    protocol_error("frame type $kind is not for an instance") if $kind != PING;
    protocol_error('a PING that is not 8 bytes') if length $payload != 8;
    return $self->{host}{crew}->when_able(sub { $self->send(encode(PONG, 0, $payload)) });
}

sub _hello {
    my ($self, $kind, $payload) = @_;
    protocol_error('the first frame is not HELLO') if $kind != HELLO;
    my $hello = object_of($payload);
    my $role = $hello->{role} || '';
    protocol_error('a version that this instance does not speak; it speaks 1') if ($hello->{version} || '') ne '1';
    protocol_error('no such role') if $role ne 'data' && $role ne 'control';
    $self->{role} = $role;
    $self->send(encode(HELLO, 0, json($self->{host}->hello)));
    return $self->{host}->opened($self);
}

sub _request {
    my ($self, $kind, $stream, $payload) = @_;
    protocol_error("unexpected REQUEST, stream $stream") if $self->{role} ne 'data' || $stream <= $self->{last_stream};
    $self->{last_stream} = $stream;
    protocol_error('a request head without method and target') if index($payload, ' ') < 1;
    my $exchange = Petrel::Runtime::Exchange->new($self, $stream, $payload, $kind == REQUEST_BODY);
    $self->{exchanges}{$stream} = $exchange;
    $self->{host}->counted;
    return $exchange->reset('draining', 'this instance is draining') if $self->{going_away};
    return $self->{host}->request($exchange);
}

sub _on_stream {
    my ($self, $kind, $stream, $payload) = @_;
    my $exchange = $self->{exchanges}{$stream};
    if (!$exchange) {
        # For a stream that is over a frame is late, not wrong; for one that never began it is wrong.
        return unless $self->{role} ne 'data' || $stream == 0 || $stream > $self->{last_stream};
        protocol_error("frame $kind for stream $stream, which never began");
    }
    if ($kind == DATA) {
        protocol_error('DATA of ' . length($payload) . ' bytes, at most ' . MAX_DATA . ' are allowed') if length $payload > MAX_DATA;
        return $exchange->receive($payload);
    }
    return $exchange->receive_end if $kind == ENDED;
    if ($kind == WINDOW) {
        protocol_error('a WINDOW that is not 4 bytes') if length $payload != 4;
        return $exchange->granted($payload);
    }
    my $reason = object_of($payload);
    my $code = $reason->{code} || 'cancelled';
    return $self->{host}{crew}->cancel($exchange, $code, $reason->{message} || $code);
}

sub _call {
    my ($self, $payload) = @_;
    protocol_error('CALL on a data connection') if $self->{role} eq 'data';
    my $call = object_of($payload);
    if (($call->{id} // '') !~ /^\d+$/ || !defined $call->{method} || ref $call->{method}) {
        protocol_error('a CALL without id or method');
    }
    return $self->{host}->call($self, $call);
}

1;
