package Petrel::Request;

# A request, as handlers get it. The body is read when it is asked for: whole with body, text, json, form; in pieces with
# next_chunk; as a file handle with stream.

use strict;
use warnings;
use JSON::PP ();
use Petrel::Runtime::Input;

sub new {
    my ($class, $call) = @_;
    my ($path, $query) = split /\?/, $call->{target}, 2;
    return bless { call => $call, path => _unescape($path), query_string => $query // '' }, $class;
}

sub method { return $_[0]{call}{method} }
# Without the query, percent-decoded.
sub path { return $_[0]{path} }
sub query_string { return $_[0]{query_string} }

# Several values of a name are joined.
sub header {
    my ($self, $name) = @_;
    return $self->headers->{ lc $name };
}

sub headers {
    my ($self) = @_;
    return $self->{headers} ||= do {
        my %headers;
        for my $pair (@{ $self->{call}{headers} }) {
            my ($name, $value) = @$pair;
            my $between = $name eq 'cookie' ? '; ' : ', ';
            $headers{$name} = exists $headers{$name} ? "$headers{$name}$between$value" : $value;
        }
        \%headers;
    };
}

# The first value of each query parameter.
sub query {
    my ($self) = @_;
    return $self->{query} ||= _first($self->query_pairs);
}

sub query_pairs { return _pairs($_[0]{query_string}) }

# A query parameter; every value of it in list context.
sub param {
    my ($self, $name) = @_;
    my @values = map { $_->[1] } grep { $_->[0] eq $name } $self->query_pairs;
    return wantarray ? @values : $values[0];
}

sub host { return $_[0]{call}->header('host') // 'localhost' }
sub scheme { return $_[0]{call}->scheme }
sub url { return $_[0]->scheme . '://' . $_[0]->host . $_[0]{call}{target} }
sub content_type { return $_[0]{call}->header('content-type') }
sub remote_addr { return $_[0]{call}->client }
sub request_id { return $_[0]{call}->request_id }
# Whether the client has gone, or the request's time is over.
sub cancelled { return $_[0]{call}->cancelled }

sub cookies {
    my ($self) = @_;
    my %cookies;
    for my $pair (split /;\s*/, $self->headers->{cookie} // '') {
        my ($name, $value) = split /=/, $pair, 2;
        $cookies{$name} = _unescape($value // '') if defined $name && !exists $cookies{$name};
    }
    return \%cookies;
}

# The next piece of the body, undef at its end.
sub next_chunk { return $_[0]{call}->read_chunk }

# The body as a file handle.
sub stream { return $_[0]{stream} ||= Petrel::Runtime::Input->handle($_[0]{call}) }

# The whole body, bytes.
sub body {
    my ($self) = @_;
    return $self->{body} //= do {
        my $body = '';
        while (defined(my $chunk = $self->next_chunk)) { $body .= $chunk }
        $body;
    };
}

# The whole body as characters.
sub text {
    my ($self) = @_;
    my $text = $self->body;
    utf8::decode($text);
    return $text;
}

# The body as JSON; undef when it is empty.
sub json {
    my ($self) = @_;
    return $self->body eq '' ? undef : JSON::PP->new->utf8->allow_nonref->decode($self->body);
}

# The first value of each parameter of an urlencoded form.
sub form {
    my ($self) = @_;
    return _first(_pairs($self->body));
}

sub _unescape {
    my ($text) = @_;
    $text =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
    utf8::decode($text);
    return $text;
}

# The first value of each name.
sub _first {
    my %first;
    for my $pair (@_) { $first{ $pair->[0] } //= $pair->[1] }
    return \%first;
}

sub _pairs {
    my ($text) = @_;
    $text =~ tr/+/ /;
    return map {
        my ($name, $value) = split /=/, $_, 2;
        [_unescape($name // ''), _unescape($value // '')]
    } grep { $_ ne '' } split /&/, $text;
}

1;
