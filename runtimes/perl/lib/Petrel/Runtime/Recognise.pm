package Petrel::Runtime::Recognise;

# Which file is loaded, which of what it defines is the handler, and which shape it has. The rules are those of README.md.

use strict;
use warnings;
use B ();
use Petrel::Runtime::Errors;
use Scalar::Util ();

my @FILES = qw(app.psgi main.pl app.pl handler.pl function.pl index.pl server.psgi func.pl);
my @SUBS = qw(handle handler main);

# The absolute path of the file to load.
sub entry {
    my ($root, $entry) = @_;
    opendir my $dir, $root or die "$root: $!\n";
    my @present = sort grep { !/^\.\.?$/ } readdir $dir;
    my $count = @present > 20 ? 19 : $#present;
    my $shown = @present ? 'the package has: ' . join(', ', @present[0 .. $count]) : 'the package is empty';
    if (defined $entry) {
        my @parts;
        for my $part (grep { $_ ne '' && $_ ne '.' } split m{/}, $entry) {
            if ($part ne '..') { push @parts, $part; next }
            Petrel::Runtime::Errors::refuse('EntryNotFound', "the entry $entry is outside the package") unless @parts;
            pop @parts;
        }
        my $path = join '/', $root, @parts;
        for my $candidate ($path, "$path.pl", "$path.psgi") { return $candidate if -f $candidate }
        Petrel::Runtime::Errors::refuse('EntryNotFound', "there is no file $entry in the package; $shown", $entry);
    }
    my @single = grep { /\.(?:pl|psgi)$/ } @present;
    for my $name (@FILES, @single == 1 ? @single : ()) { return "$root/$name" if -f "$root/$name" }
    return Petrel::Runtime::Errors::refuse('EntryNotFound', 'no file to load: there is no ' . join(', ', @FILES) . "; $shown");
}

# Names of the packages that a file speaks of, main first.
sub packages {
    my ($file) = @_;
    open my $source, '<', $file or die "$file: $!\n";
    my (%seen, @packages);
    while (my $line = <$source>) {
        last if $line =~ /^__(?:END|DATA)__$/;
        push @packages, $1 if $line =~ /^\s*package\s+([\w:]+)/ && !$seen{$1}++;
    }
    return ('main', grep { $_ ne 'main' } @packages);
}

# The subs that a file defines itself: [package, name, code].
sub _subs {
    my ($file) = @_;
    my @found;
    for my $package (packages($file)) {
        no strict 'refs';
        my $stash = \%{"${package}::"};
        for my $name (sort grep { !/::$/ && /^[a-zA-Z]\w*$/ } keys %$stash) {
            my $code = defined &{"${package}::$name"} ? \&{"${package}::$name"} : next;
            push @found, [$package, $name, $code] if B::svref_2object($code)->FILE eq $file;
        }
    }
    return @found;
}

# (shape, code) of the handler; empty when there is none. $returned is the value of the file's last statement.
sub find {
    my ($file, $returned, $handler, $shape) = @_;
    my @subs = _subs($file);
    my $code;
    if (defined $handler) {
        my ($package, $name) = $handler =~ /^(?:(.+)::)?(\w+)$/ or return;
        if (defined $package) {
            no strict 'refs';
            $code = \&{"${package}::$name"} if defined &{"${package}::$name"};
        }
        else { ($code) = map { $_->[2] } grep { $_->[1] eq $name } @subs }
        return $code ? ($shape || _shape($name, $file), $code) : ();
    }
    if ($file =~ /\.psgi$/ || ref $returned eq 'CODE' || Scalar::Util::blessed($returned) && $returned->can('to_app')) {
        $returned = $returned->to_app if Scalar::Util::blessed($returned) && $returned->can('to_app');
        my $app = ref $returned eq 'CODE' || Scalar::Util::blessed($returned) && overload::Method($returned, '&{}');
        return ($shape || 'psgi', sub { $returned->(@_) }) if $app && !grep { $_->[2] == $returned } @subs;
    }
    for my $name (@SUBS) {
        my ($found) = grep { $_->[1] eq $name } @subs;
        return ($shape || 'request', $found->[2]) if $found;
    }
    return ($shape || 'request', $subs[0][2]) if @subs == 1;
    return;
}

# A sub by name is a PSGI application when it is called app, or comes from a .psgi file.
sub _shape {
    my ($name, $file) = @_;
    return $name eq 'app' || $file =~ /\.psgi$/ ? 'psgi' : 'request';
}

# What the file defines, with what it is, for a message.
sub listing {
    my ($file, $returned) = @_;
    my @names = map { ($_->[0] eq 'main' ? '' : "$_->[0]::") . "$_->[1] (sub)" } _subs($file);
    open my $source, '<', $file or return 'nothing';
    while (my $line = <$source>) {
        push @names, "$1 (variable)" if $line =~ /^\s*our\s+([\$\@%]\w+)/;
        push @names, "$1 (package)" if $line =~ /^\s*package\s+([\w:]+)/;
    }
    push @names, 'its last statement is a ' . (ref $returned) if ref $returned;
    return @names ? join(', ', @names > 30 ? @names[0 .. 29] : @names) : 'nothing';
}

sub not_found {
    my ($file, $returned, $handler) = @_;
    my $has = 'it has: ' . listing($file, $returned);
    my $relative = Petrel::Runtime::Errors::relative($file);
    my $message = defined $handler
        ? "$relative has no sub named $handler; $has"
        : "$relative has no handler; $has. Looked for, in this order: a PSGI application as its last statement, the subs "
            . join(', ', @SUBS) . ', a single sub';
    return Petrel::Runtime::Errors::refuse('HandlerNotFound', $message, $relative);
}

1;
