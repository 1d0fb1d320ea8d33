package Petrel::Package;
# What a package has in it to run, and what a process's last words say of it.
use strict;
use warnings;
use Cwd ();
use Petrel::Json;

# Where a build puts the binary, and a file about it: see README.md.
my $DIR = 'petrel-build';

# Finds what to run: {kind => 'handler' | 'program', path, label, about}. Dies with {code, message}.
sub target {
    my ($code, $entry, $shape) = @_;
    my $root  = Cwd::realpath($code);
    my $about = read_about("$root/$DIR/about.json");
    for my $kind (qw(handler program)) {
        my $path = "$root/$DIR/$kind";
        next unless -f $path;
        refuse('HandlerNotFound', 'the function is declared a program, but its build has made a handler of it: it has no main of its own')
          if $kind eq 'handler' && ($shape // '') eq 'program';
        refuse('HandlerNotFound', 'the function is declared a handler, but its build has found a program: ' . ($about->{looked} // 'no handler'))
          if $kind eq 'program' && defined $shape && $shape ne 'program';
        return {kind => $kind, path => $path, label => "$DIR/$kind", about => $about};
    }
    refuse('EntryNotFound', "the package has no $DIR/handler and no $DIR/program: it was not built, and no entry is given. " . listing($root))
      unless defined $entry && $entry ne '';
    my $path = Cwd::realpath("$root/$entry");
    refuse('EntryNotFound', "$entry lies outside the package") if outside($root, $entry) || (defined $path && index($path, "$root/") != 0);
    refuse('EntryNotFound', "the package has no file $entry. " . listing($root)) unless defined $path && -f $path;
    refuse('EntryNotFound', "$entry is not executable, and the package has no $DIR/handler and no $DIR/program: it was not built. " . listing($root))
      unless -x $path;
    return {kind => 'program', path => $path, label => $entry, about => $about};
}

sub refuse {
    my ($code, $message) = @_;
    die {code => $code, message => $message};
}

sub outside {
    my ($root, $entry) = @_;
    my $depth = 0;
    for my $part (split m{/}, $entry) {
        $depth += $part eq '..' ? -1 : $part eq '' || $part eq '.' ? 0 : 1;
        return 1 if $depth < 0;
    }
    return $entry =~ m{^/};
}

sub listing {
    my ($root) = @_;
    opendir my $dir, $root or return '';
    my @names = sort grep { !/^\.\.?$/ } readdir $dir;
    return 'It has: ' . (join(', ', @names[0 .. ($#names > 9 ? 9 : $#names)]) || 'nothing') . (@names > 10 ? ' …' : '');
}

sub read_about {
    my ($path) = @_;
    open my $in, '<', $path or return {};
    local $/;
    my $about = eval { Petrel::Json::decode(<$in>) };
    return ref $about eq 'HASH' ? $about : {};
}

# How a process ended, in words.
sub ending {
    my ($status) = @_;
    my $signal = $status & 127;
    return $signal ? "by signal $signal" : 'with exit code ' . ($status >> 8);
}

# What a process said when it broke: {message, file, line, column, detail}. `$root` is taken off paths.
sub last_words {
    my ($tail, $about, $root) = @_;
    $tail =~ s{\Q$root\E/}{}g;
    $tail =~ s/\s+\z//;
    my %said = (detail => $tail);
    if ($tail =~ /^(thread '[^\n]*' (?:\(\d+\) )?panicked at ([^\s:]+):(\d+):(\d+):?\n([^\n]*))/m) {
        @said{qw(message file line column)} = ("panic: $5", $2, $3, $4);
    }
    elsif ($tail =~ /^((?:panic|fatal error): [^\n]*)/m) {
        $said{message} = $1;
        my $module = $about->{module} // '';
        # The first frame that lies in the function's own module, where the runtime's and the standard library's are left out.
        while ($tail =~ m{^\t(\S+?\.go):(\d+)}mg) {
            my ($file, $line) = ($1, $2);
            next if $module eq '' || index($file, "$module/") != 0;
            $file = substr $file, length($module) + 1;
            next if $file =~ /^petrel_generated/;
            @said{qw(file line)} = ($file, $line);
            last;
        }
    }
    return \%said;
}

1;
