package Petrel::Runtime::Answer;

# Values that handlers return, turned into responses; and the 500 of a handler that failed.

use strict;
use warnings;
use Petrel::Runtime::Frames;
use Petrel::Runtime::Errors;
use Scalar::Util ();

use constant { JSON_TYPE => 'application/json', TEXT_TYPE => 'text/plain; charset=utf-8', BYTES_TYPE => 'application/octet-stream' };

my %HOP_BY_HOP = map { $_ => 1 } qw(connection keep-alive proxy-connection te trailer transfer-encoding upgrade);

# The handler died: 500, or, when the head is out already, a reset.
sub fail {
    my ($call, $error) = @_;
    return if $call->{finished};
    my $text = Petrel::Runtime::Errors::text($error);
    my $message = Petrel::Runtime::Errors::first_line($text);
    print STDERR 'petrel: request ' . $call->request_id . " failed: $text\n";
    my $development = $Petrel::Runtime::Errors::development;
    if ($call->{started}) {
        return $call->reset('handler_error', $development ? $message : 'the function failed after its answer had begun');
    }
    my %body = (component => 'function', reason => 'function_error', requestId => $call->request_id);
    @body{qw(message stack)} = ($message, $text) if $development;
    return $call->respond(500, block('content-type' => JSON_TYPE), json(\%body));
}

# True when the request was an upgrade, which no shape of this runtime can take.
sub refuses_upgrade {
    my ($call) = @_;
    return 0 unless ($call->header('connection') // '') eq 'upgrade' && defined $call->header('upgrade');
    my $message = 'This handler has no notion of an upgrade. Run as a program on $PORT.';
    my %body = (component => 'function', reason => 'upgrade_not_supported', requestId => $call->request_id, message => $message);
    $call->respond(501, block('content-type' => JSON_TYPE), json(\%body));
    return 1;
}

sub status {
    my ($status) = @_;
    return $status if defined $status && $status =~ /^[2-5]\d\d$/;
    die 'the handler returned status ' . ($status // 'undef') . "; a status is a whole number from 200 to 599\n";
}

# Header lines of names and values in turn (a value may be a list). Dies of what would forge another line.
sub block {
    my @pairs = @_;
    my $block = '';
    while (my ($key, $values) = splice @pairs, 0, 2) {
        my $name = lc $key;
        die "invalid header name: $name\n" if $name !~ /^[!#\$%&'*+\-.^_`|~0-9a-z]+\z/;
        for my $value (ref $values eq 'ARRAY' ? @$values : $values) {
            next unless defined $value;
            my $text = "$value";
            die "invalid header value: $text\n" if $text =~ /[\r\n\0]/;
            die "a header value must be latin1: $text\n" unless utf8::downgrade($text, 1);
            $block .= "$name: $text\r\n" unless $HOP_BY_HOP{$name};
        }
    }
    return $block;
}

# Bytes of text: characters as UTF-8, bytes as they are.
sub bytes {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

sub _is_handle {
    my ($value) = @_;
    return ref $value eq 'GLOB' || Scalar::Util::blessed($value) && $value->can('getline');
}

# [status or undef, headers, body (bytes, undef, handle or sub), type] of what a handler returned.
sub _parts {
    my ($value) = @_;
    return [undef, [], undef, undef] unless defined $value;
    if (!ref $value) {
        my $bytes = bytes($value);
        return [undef, [], $bytes, utf8::decode(my $copy = $bytes) ? TEXT_TYPE : BYTES_TYPE];
    }
    return [undef, [], $value, BYTES_TYPE] if ref $value eq 'CODE' || _is_handle($value);
    if (Scalar::Util::blessed($value)) {
        if ($value->isa('Petrel::Response')) {
            my $inner = _parts($value->{body});
            return [$value->{status}, $value->{headers}, @$inner[2, 3]];
        }
        return _parts($value->finalize) if $value->can('finalize');    # Plack::Response
    }
    if (ref $value eq 'ARRAY' && @$value == 3 && !ref $value->[0] && ($value->[0] // '') =~ /^\d{1,3}$/ && (ref $value->[1]) =~ /^(?:HASH|ARRAY)$/) {
        my ($status, $headers, $body) = @$value;
        $headers = [%$headers] if ref $headers eq 'HASH';
        # A body of PSGI is a list of bytes.
        my $list = ref $body eq 'ARRAY' && !grep { ref } @$body;
        my $inner = $list ? [undef, [], join('', map { bytes($_) } @$body), undef] : _parts($body);
        return [$status, $headers, @$inner[2, 3]];
    }
    return [undef, [], json($value), JSON_TYPE];
}

# Answers with what a handler returned. Pieces of a stream go out as they come.
sub respond {
    my ($call, $value) = @_;
    my ($status, $headers, $body, $type) = @{ _parts($value) };
    my %named = map { lc($headers->[$_]) => 1 } grep { $_ % 2 == 0 } 0 .. $#$headers;
    my @headers = (@$headers, $type && !$named{'content-type'} ? ('content-type' => $type) : ());
    $status = status($status // (defined $body ? 200 : 204));
    my $block = block(@headers);
    if (!ref $body) {
        $call->last;
        return $call->respond($status, $block, $body // '');
    }
    $call->start($status, $block);
    if (ref $body eq 'CODE') { $body->(sub { $call->write(bytes($_)) for @_ }) }
    else { pour($call, $body) }
    return $call->finish;
}

# A file handle, or an object with getline and close as PSGI has them.
sub pour {
    my ($call, $body) = @_;
    local $/ = \65536;
    if (ref $body eq 'GLOB') { while (defined(my $chunk = readline $body)) { $call->write($chunk) } }
    else { while (defined(my $chunk = $body->getline)) { $call->write(bytes($chunk)) } }
    return;
}

1;
