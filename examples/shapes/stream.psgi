# PSGI: an application is the code reference that the file ends with. This one streams its answer.
use strict;
use warnings;

sub {
    my ($env) = @_;
    return sub {
        my ($respond) = @_;
        my $writer = $respond->([200, ['Content-Type' => 'text/plain']]);
        for my $n (1 .. 3) {
            $writer->write("part $n of $env->{PATH_INFO}\n");
            select undef, undef, undef, 0.2;
        }
        $writer->close;
    };
};
