use strict;
use warnings;

sub handle {
    my ($request) = @_;
    my $name = $request->param('name') // 'world';
    return { message => "Hello, $name!" };
}
