use strict;
use warnings;

sub handle {
    my ($request) = @_;
    return 'Hello, ' . ($request->param('name') // 'world') . "!\n";
}
