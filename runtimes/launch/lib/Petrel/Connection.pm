package Petrel::Connection;
# One control connection: frames in, calls out of them. Whatever breaks the rules of runtimes/PROTOCOL.md closes it.
use strict;
use warnings;
use Petrel::Json;

use constant {HELLO => 1, PING => 10, PONG => 11, CALL => 12, RESULT => 13, EVENT => 14};
my $HEADER  = 9;
my $LONGEST = 1048576;
my $LAST_KNOWN = 15;

# `on`: hello() gives the instance's own, call($connection, $id, $method, $params) carries one out.
sub new {
    my ($class, $socket, %on) = @_;
    return bless {socket => $socket, in => '', greeted => 0, on => \%on}, $class;
}

# Reads what is there and acts on it; false when the connection is over.
sub take {
    my ($self) = @_;
    my $read = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
    return 1 if !defined $read && ($!{EINTR} || $!{EAGAIN});
    return 0 if !$read;
    while (length $self->{in} >= $HEADER) {
        my ($length, $type, $stream) = unpack 'VCV', $self->{in};
        return 0 if $length > $LONGEST;
        last if length $self->{in} < $HEADER + $length;
        my $payload = substr $self->{in}, $HEADER, $length;
        substr($self->{in}, 0, $HEADER + $length) = '';
        return 0 unless $self->frame($type, $payload);
    }
    return 1;
}

sub frame {
    my ($self, $type, $payload) = @_;
    if (!$self->{greeted}) {
        my $hello = $type == HELLO ? eval { Petrel::Json::decode($payload) } : undef;
        return 0 unless ref $hello eq 'HASH' && ($hello->{version} // 0) eq '1' && ($hello->{role} // '') eq 'control';
        $self->{greeted} = 1;
        $self->send(HELLO, $self->{on}{hello}->());
        return 1;
    }
    return 1 if $type > $LAST_KNOWN;
    if ($type == PING) {
        return 0 if length $payload != 8;
        $self->send(PONG, $payload);
        return 1;
    }
    return 0 if $type != CALL;
    my $call = eval { Petrel::Json::decode($payload) };
    return 0 unless ref $call eq 'HASH' && defined $call->{id} && $call->{id} =~ /^\d+$/ && defined $call->{method};
    my $params = $call->{params} // {};
    if (ref $params ne 'HASH') { $self->refuse($call->{id}, 'BadRequest', 'params must be an object') }
    else                       { $self->{on}{call}->($self, $call->{id}, $call->{method}, $params) }
    return 1;
}

# Writes a whole frame; a peer that is gone is noticed when it is read from.
sub send {
    my ($self, $type, $payload) = @_;
    my $out = pack('VCV', length $payload, $type, 0) . $payload;
    while (length $out) {
        my $wrote = syswrite $self->{socket}, $out;
        if (defined $wrote) { substr($out, 0, $wrote) = '' }
        elsif (!$!{EINTR})  { return }
    }
    return;
}

# `$json` is the result as JSON.
sub answer {
    my ($self, $id, $json) = @_;
    return $self->send(RESULT, "{\"id\":$id,\"result\":$json}");
}

# `$json` is the error as JSON.
sub fail {
    my ($self, $id, $json) = @_;
    return $self->send(RESULT, "{\"id\":$id,\"error\":$json}");
}

sub refuse {
    my ($self, $id, $code, $message) = @_;
    return $self->fail($id, Petrel::Json::object(code => $code, message => $message));
}

sub event {
    my ($self, $json) = @_;
    return $self->send(EVENT, $json) if $self->{greeted};
}

1;
