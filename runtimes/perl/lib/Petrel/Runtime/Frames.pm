package Petrel::Runtime::Frames;

# The frames of the instance protocol (runtimes/PROTOCOL.md): numbers, cutting a byte stream, printing.

use strict;
use warnings;
use Exporter 'import';
use JSON::PP ();

use constant {
    HELLO => 1, REQUEST => 2, REQUEST_BODY => 3, RESPONSE => 4, RESPONSE_BODY => 5, DATA => 6, ENDED => 7, RESET => 8, WINDOW => 9,
    PING => 10, PONG => 11, CALL => 12, RESULT => 13, EVENT => 14, GOAWAY => 15,
    # Between supervisor and workers only. LOAD: params of `specialise`. LOADED and FAILED answer it. READY: the next request may
    # come. CRASH: user code ended the process.
    LOAD => 100, LOADED => 101, FAILED => 102, READY => 103, CRASH => 104,
    MAX_PAYLOAD => 1048576, MAX_DATA => 65536, WINDOW_SIZE => 262144,
    # Bytes asked of a socket at once.
    READ_SIZE => 131072,
};

our @EXPORT = qw(
    HELLO REQUEST REQUEST_BODY RESPONSE RESPONSE_BODY DATA ENDED RESET WINDOW PING PONG CALL RESULT EVENT GOAWAY
    LOAD LOADED FAILED READY CRASH MAX_PAYLOAD MAX_DATA WINDOW_SIZE READ_SIZE encode json object_of cut protocol_error
);

my $JSON = JSON::PP->new->utf8->canonical->allow_nonref->allow_blessed->convert_blessed;

sub encode {
    my ($kind, $stream, $payload) = @_;
    $payload = '' unless defined $payload;
    return pack('VCV', length $payload, $kind, $stream) . $payload;
}

sub json { return $JSON->encode($_[0]) }

# The peer broke the protocol: its connection is closed.
sub protocol_error { die bless { message => $_[0] }, 'Petrel::Runtime::ProtocolError' }

sub object_of {
    my ($payload) = @_;
    my $value = eval { $JSON->decode($payload) };
    protocol_error('a payload that is not a JSON object') unless ref $value eq 'HASH';
    return $value;
}

# The whole frames in $$held, which keeps the rest: [kind, stream, payload].
sub cut {
    my ($held) = @_;
    my ($at, $total, @frames) = (0, length $$held);
    while ($total - $at >= 9) {
        my ($length, $kind, $stream) = unpack 'VCV', substr($$held, $at, 9);
        protocol_error("frame of $length bytes, at most " . MAX_PAYLOAD . ' are allowed') if $length > MAX_PAYLOAD;
        last if $total - $at - 9 < $length;
        push @frames, [$kind, $stream, substr($$held, $at + 9, $length)];
        $at += 9 + $length;
    }
    substr($$held, 0, $at) = '' if $at;
    return @frames;
}

1;
