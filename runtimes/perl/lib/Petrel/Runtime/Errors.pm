package Petrel::Runtime::Errors;

# What went wrong, in Perl's own words, with paths relative to the package and without the runtime's own frames.

use strict;
use warnings;

use constant MAX_DETAIL => 16384;

our $root = '';
our $development = 0;
my $own = __FILE__ =~ m{^(.*)/lib/Petrel/Runtime/} ? $1 : '/';

# Ends loading with a code of PROTOCOL.md.
sub refuse {
    my ($code, $message, $file) = @_;
    die bless { code => $code, message => $message, defined $file ? (file => $file) : () }, 'Petrel::Runtime::LoadFailure';
}

sub relative {
    my ($text) = @_;
    return $text if $root eq '';
    $text =~ s/\Q$root\E\///g;
    $text =~ s/\Q$root\E(?![\w.-])/./g;
    $text =~ s/ \Q$own\E\/lib(?= )//;    # among the places where modules are looked for
    return $text;
}

# An error as text: what Perl would print.
sub text {
    my ($error) = @_;
    my $text = relative("$error");
    $text =~ s/^\s+at \Q$own\E.*\n?//mg;       # frames of Carp's
    $text =~ s/ at \Q$own\E\/\S+ line \d+\.?//g;
    $text =~ s/\s+\z//;
    return $text;
}

sub first_line { return $_[0] =~ /^(.+)/ ? $1 : $_[0] }

# The error of a `specialise` call for whatever loading died of.
sub of_loading {
    my ($error, $entry) = @_;
    return {%$error} if ref $error eq 'Petrel::Runtime::LoadFailure';
    my ($file, $line);
    my $plain = "$error";
    while ($plain =~ / at (\S[^\n]*?) line (\d+)/g) {
        my ($at, $number) = ($1, $2);
        next unless $at =~ /^\Q$root\E\// && -f $at;
        ($file, $line) = ($at, $number);
        last;
    }
    my $text = text($error);
    my $detail = $text;
    if ($line && open my $source, '<', $file) {
        my @lines = <$source>;
        my $shown = $lines[$line - 1] // '';
        $shown =~ s/^\s+|\s+$//g;
        $detail .= "\n\n" . relative($file) . ":$line\n    $shown" if $shown ne '';
    }
    $file = relative($file // $entry);
    my %error = (code => 'LoadError', message => first_line($text), file => $file, detail => substr $detail, 0, MAX_DETAIL);
    $error{line} = $line + 0 if $line;
    return \%error;
}

1;
