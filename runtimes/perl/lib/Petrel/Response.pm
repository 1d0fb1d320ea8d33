package Petrel::Response;

# An answer in parts: Petrel::Response->new($body, status => 201, headers => [name => value, ...]). The body is text, undef, a file
# handle, a sub that gets $write, or anything with a JSON form.

use strict;
use warnings;

sub new {
    my ($class, $body, %rest) = @_;
    my $headers = $rest{headers} || [];
    return bless {
        body => $body, status => $rest{status} // (defined $body ? 200 : 204), headers => ref $headers eq 'HASH' ? [%$headers] : $headers,
    }, $class;
}

1;
