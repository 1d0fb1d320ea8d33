package Petrel::Json;
# JSON between the platform and an instance. Own code because JSON::PP is not in every Perl (Debian's perl-base) and takes 15 ms to load.
# Texts are bytes in UTF-8 throughout; numbers, true and false come out as Perl has them.
use strict;
use warnings;

my %ESCAPES = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", '"' => '"', '\\' => '\\', '/' => '/');
my %NAMES   = ("\b" => 'b', "\f" => 'f', "\n" => 'n', "\r" => 'r', "\t" => 't', '"' => '"', '\\' => '\\');
my $DEPTH   = 64;

# Reads one JSON text. Dies with a message that names the place.
sub decode {
    my ($text) = @_;
    pos($text) = 0;
    my $value = read_value(\$text, 0);
    $text =~ /\G\s*/gc;
    die 'JSON: something follows the value at byte ' . pos($text) . "\n" if pos($text) < length $text;
    return $value;
}

sub read_value {
    my ($in, $depth) = @_;
    die "JSON: nested too deeply\n" if $depth > $DEPTH;
    $$in =~ /\G\s*/gc;
    if ($$in =~ /\G"/gc) { return read_string($in) }
    if ($$in =~ /\G(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)/gc) { return $1 + 0 }
    if ($$in =~ /\Gtrue/gc)  { return 1 }
    if ($$in =~ /\Gfalse/gc) { return 0 }
    if ($$in =~ /\Gnull/gc)  { return undef }
    if ($$in =~ /\G\{\s*/gc) {
        my %object;
        return \%object if $$in =~ /\G\}/gc;
        do {
            $$in =~ /\G\s*"/gc or die 'JSON: a name is missing at byte ' . pos($$in) . "\n";
            my $name = read_string($in);
            $$in =~ /\G\s*:/gc or die 'JSON: a colon is missing at byte ' . pos($$in) . "\n";
            $object{$name} = read_value($in, $depth + 1);
        } while ($$in =~ /\G\s*,/gc);
        $$in =~ /\G\s*\}/gc or die 'JSON: an object does not end at byte ' . pos($$in) . "\n";
        return \%object;
    }
    if ($$in =~ /\G\[\s*/gc) {
        my @array;
        return \@array if $$in =~ /\G\]/gc;
        do { push @array, read_value($in, $depth + 1) } while ($$in =~ /\G\s*,/gc);
        $$in =~ /\G\s*\]/gc or die 'JSON: an array does not end at byte ' . pos($$in) . "\n";
        return \@array;
    }
    die 'JSON: no value at byte ' . pos($$in) . "\n";
}

sub read_string {
    my ($in) = @_;
    my $out = '';
    while (1) {
        if    ($$in =~ /\G([^"\\\x00-\x1f]+)/gc)   { $out .= $1 }
        elsif ($$in =~ /\G"/gc)                    { return $out }
        elsif ($$in =~ m{\G\\(["\\/bfnrt])}gc)     { $out .= $ESCAPES{$1} }
        elsif ($$in =~ /\G\\u([0-9a-fA-F]{4})/gc) {
            my $code = hex $1;
            if ($code >= 0xd800 && $code < 0xdc00 && $$in =~ /\G\\u([dD][c-fC-F][0-9a-fA-F]{2})/gc) {
                $code = 0x10000 + (($code - 0xd800) << 10) + (hex($1) - 0xdc00);
            }
            $code = 0xfffd if $code >= 0xd800 && $code < 0xe000;
            my $char = chr $code;
            utf8::encode($char);
            $out .= $char;
        }
        else { die 'JSON: a text does not end at byte ' . pos($$in) . "\n" }
    }
}

# A text as JSON, quotes included. Bytes that are no UTF-8 are taken as latin1.
sub text {
    my ($text) = @_;
    my $copy = $text;
    if (!utf8::decode($copy)) { utf8::upgrade($copy = $text) }
    utf8::encode($copy);
    $copy =~ s{([\x00-\x1f"\\])}{ $NAMES{$1} ? "\\$NAMES{$1}" : sprintf '\\u%04x', ord $1 }ge;
    return "\"$copy\"";
}

# An object. Values are texts; numbers and JSON that is ready are given as references to them; undefined ones are left out.
sub object {
    my @pairs;
    while (@_) {
        my ($name, $value) = splice @_, 0, 2;
        next unless defined $value;
        push @pairs, text($name) . ':' . (ref $value ? $$value : text($value));
    }
    return '{' . join(',', @pairs) . '}';
}

1;
