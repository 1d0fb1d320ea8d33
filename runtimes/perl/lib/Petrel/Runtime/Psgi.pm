package Petrel::Runtime::Psgi;

# PSGI 1.1: the environment of a request, and answers that are lists, handles, delayed, or streamed.

use strict;
use warnings;
use Petrel::Request;
use Petrel::Runtime::Answer;
use Petrel::Runtime::Input;

sub serve {
    my ($call, $app) = @_;
    return _take($call, scalar $app->(environment($call)));
}

# For a sub that may take a request or an environment: it gets what is both, and may answer as either.
sub serve_either {
    my ($call, $code) = @_;
    my $both = Petrel::Request->new($call);
    my $environment = environment($call);
    @$both{ keys %$environment } = values %$environment;
    my $answer = $code->($both);
    return Petrel::Runtime::Answer::respond($call, $answer) if ref $answer ne 'CODE';
    return _take($call, $answer);
}

sub _take {
    my ($call, $answer) = @_;
    return _respond($call, $answer) if ref $answer eq 'ARRAY';
    die 'the application returned ' . ($answer // 'undef') . ", which is neither a list nor a sub\n" if ref $answer ne 'CODE';
    my $responded = 0;
    $answer->(sub {
        my ($list) = @_;
        $responded = 1;
        return _respond($call, $list) if @$list == 3;
        $call->start(Petrel::Runtime::Answer::status($list->[0]), Petrel::Runtime::Answer::block(@{ $list->[1] }));
        return bless { call => $call }, 'Petrel::Runtime::Psgi::Writer';
    });
    die "the application returned without having answered\n" unless $responded;
    $call->finish if $call->{started};
    return;
}

sub _respond {
    my ($call, $answer) = @_;
    my ($status, $headers, $body) = @$answer;
    my $block = Petrel::Runtime::Answer::block(@$headers);
    $status = Petrel::Runtime::Answer::status($status);
    return $call->respond($status, $block, join '', map { Petrel::Runtime::Answer::bytes($_) } @$body) if ref $body eq 'ARRAY';
    $call->start($status, $block);
    Petrel::Runtime::Answer::pour($call, $body);
    ref $body eq 'GLOB' ? close $body : $body->close;
    return $call->finish;
}

sub environment {
    my ($call) = @_;
    my ($path, $query) = split /\?/, $call->{target}, 2;
    my $info = $path;
    $info =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
    my ($host, $port) = split /:/, $call->header('host') // 'localhost', 2;
    my $scheme = $call->scheme;
    my %env = (
        REQUEST_METHOD => $call->{method}, SCRIPT_NAME => '', PATH_INFO => $info, REQUEST_URI => $call->{target}, QUERY_STRING => $query // '',
        SERVER_NAME => $host, SERVER_PORT => $port || ($scheme eq 'https' ? 443 : 80), SERVER_PROTOCOL => 'HTTP/1.1',
        REMOTE_ADDR => $call->client // '127.0.0.1',
        'psgi.version' => [1, 1], 'psgi.url_scheme' => $scheme, 'psgi.input' => Petrel::Runtime::Input->handle($call),
        'psgi.errors' => \*STDERR, 'psgi.multithread' => !!0, 'psgi.multiprocess' => !!1, 'psgi.run_once' => !!0,
        'psgi.nonblocking' => !!0, 'psgi.streaming' => !!1, 'psgix.input.buffered' => !!0,
    );
    for my $pair (@{ $call->{headers} }) {
        my ($name, $value) = @$pair;
        (my $key = uc $name) =~ tr/-/_/;
        $key = "HTTP_$key" unless $key eq 'CONTENT_TYPE' || $key eq 'CONTENT_LENGTH';
        $env{$key} = exists $env{$key} ? $env{$key} . ($name eq 'cookie' ? '; ' : ', ') . $value : $value;
    }
    return \%env;
}

package Petrel::Runtime::Psgi::Writer;

sub write {
    my ($self, $chunk) = @_;
    return $self->{call}->write(Petrel::Runtime::Answer::bytes($chunk));
}

sub close { return $_[0]{call}->finish }

1;
