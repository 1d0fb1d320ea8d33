package Petrel::Runtime::Input;

# The request body as a file handle: bytes as they come, nothing held that is not asked for. `read`, `<$input>` and the methods of
# IO::Handle work on it.

use strict;
use warnings;
use IO::Handle ();
use Symbol ();

# A handle that reads the body of a call.
sub handle {
    my ($class, $call) = @_;
    my $handle = Symbol::gensym();
    tie *$handle, $class, $call;
    return bless $handle, 'IO::Handle';
}

sub TIEHANDLE {
    my ($class, $call) = @_;
    return bless { call => $call, rest => '', ended => 0 }, $class;
}

sub _more {
    my ($self) = @_;
    return 0 if $self->{ended};
    my $chunk = $self->{call}->read_chunk;
    if (defined $chunk) { $self->{rest} .= $chunk }
    else { $self->{ended} = 1 }
    return !$self->{ended};
}

sub READ {
    my ($self, undef, $length, $offset) = @_;
    $offset ||= 0;
    1 while $self->{rest} eq '' && $self->_more;
    my $chunk = substr $self->{rest}, 0, $length, '';
    $_[1] = '' unless defined $_[1];
    $_[1] .= "\0" x ($offset - length $_[1]) if $offset > length $_[1];
    substr($_[1], $offset) = $chunk;
    return length $chunk;
}

sub READLINE {
    my ($self) = @_;
    if (wantarray) {
        my @lines;
        while (defined(my $line = $self->READLINE)) { push @lines, $line }
        return @lines;
    }
    my $separator = $/;
    if (ref $separator) {
        1 while length $self->{rest} < $$separator && $self->_more;
        return $self->{rest} eq '' ? undef : substr $self->{rest}, 0, $$separator, '';
    }
    my $at = -1;
    1 while (!defined $separator || ($at = index $self->{rest}, $separator eq '' ? "\n\n" : $separator) < 0) && $self->_more;
    return if $self->{rest} eq '';
    return substr $self->{rest}, 0, length $self->{rest}, '' if $at < 0;
    return substr $self->{rest}, 0, $at + length($separator eq '' ? "\n\n" : $separator), '';
}

sub GETC {
    my ($self) = @_;
    my $one;
    return $self->READ($one, 1) ? $one : undef;
}

sub EOF {
    my ($self) = @_;
    1 while $self->{rest} eq '' && $self->_more;
    return $self->{rest} eq '';
}

sub FILENO { return }
sub BINMODE { return 1 }
sub CLOSE { return 1 }

1;
