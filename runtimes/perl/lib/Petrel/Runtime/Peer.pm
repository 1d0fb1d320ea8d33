package Petrel::Runtime::Peer;

# A socket of the supervisor's loop: frames come in, bytes that cannot leave at once are held. What is held is bounded by the
# windows of its streams. Subclasses have frame($kind, $stream, $payload) and gone(), which is called once.

use strict;
use warnings;
use IO::Handle ();
use Petrel::Runtime::Frames;
use Time::HiRes ();

sub new {
    my ($class, $socket, %rest) = @_;
    $socket->blocking(0);
    return bless { socket => $socket, held => '', out => '', closed => 0, %rest }, $class;
}

sub send {
    my ($self, $bytes) = @_;
    return if $self->{closed};
    if ($self->{out} eq '') {
        my $sent = syswrite $self->{socket}, $bytes;
        return if defined $sent && $sent == length $bytes;
        $bytes = substr $bytes, $sent || 0;
    }
    $self->{out} .= $bytes;
    return;
}

sub writable {
    my ($self) = @_;
    my $sent = syswrite $self->{socket}, $self->{out};
    if (defined $sent) { substr($self->{out}, 0, $sent) = '' }
    elsif (!$!{EAGAIN} && !$!{EINTR}) { $self->{out} = '' }    # the reader notices the end
    return;
}

sub readable {
    my ($self) = @_;
    my $count = sysread $self->{socket}, $self->{held}, READ_SIZE, length $self->{held};
    return if !defined $count && ($!{EAGAIN} || $!{EINTR});
    return $self->close unless $count;
    my $fine = eval {
        for my $frame (cut(\$self->{held})) {
            last if $self->{closed};
            $self->frame(@$frame);
        }
        1;
    };
    return if $fine;
    die $@ unless ref $@ eq 'Petrel::Runtime::ProtocolError';
    print STDERR "petrel: protocol error from the platform: $@->{message}; connection closed\n";
    $self->close;
    return;
}

sub close {
    my ($self) = @_;
    return if $self->{closed};
    $self->{closed} = 1;
    close $self->{socket};
    $self->gone;
    return;
}

# Sends what is held, as far as that goes without waiting for a peer that does not read.
sub flush {
    my ($self, $seconds) = @_;
    my $deadline = Time::HiRes::time() + $seconds;
    while ($self->{out} ne '' && !$self->{closed} && Time::HiRes::time() < $deadline) {
        vec(my $write = '', fileno $self->{socket}, 1) = 1;
        $self->writable if select(undef, $write, undef, 0.05) > 0;
    }
    return;
}

1;
