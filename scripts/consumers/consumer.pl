#!/usr/bin/env perl
# What README.md says, with Redis.pm: apt-get install libredis-perl
use v5.26;
use warnings;
use Redis;
use Scalar::Util qw(looks_like_number);

my $keys   = $ENV{KEYS} // 'bz:ratings';
my $log    = "$keys:events";
my @entry  = qw(action symbol record version published effect news firm direction rating
  rating_prior pt pt_prior rating_id value target shift);
my @latest = qw(_record _version _firm _direction rating_current rating consensus_rating
  pt_current pt consensus_price_target);
my ($redis, $told) = (undef, '');
$| = 1;

sub connect_redis {
    my ($login, $server, $db) = ($ENV{REDIS_URL} // 'redis://127.0.0.1:6379') =~
      m{^redis://(?:([^@]*)@)?([^/]+)/?(\d*)} or die "REDIS_URL?\n";
    my $new = Redis->new(server => $server);
    $new->auth(grep { length } split /:/, $login) if $login;
    $new->select($db) if $db;
    $redis = $new;
}

sub say_line {
    my ($words, $of, @names) = @_;
    say join "\t", $words,
      map { "$_=" . $of->{$_} =~ tr/\t\r\n/ /r } grep { exists $of->{$_} } @names;
}

sub tell_state {
    my ($state) = @_;
    say_line($state) if $state ne $told;
    $told = $state;
}

sub act {
    my ($entry, $of) = @_;
    return say_line("gap\t$entry", $of, qw(from to cause recovered)) if $of->{action} eq 'gap';
    say_line("entry\t$entry", $of, @entry);
    my $why = $of->{direction} // '';
    $why = moved($of->{pt}, $of->{pt_prior}) && 'target' unless $why =~ /^(up|down)$/;
    say_line("alert\t$entry", { %$of, why => $why }, qw(symbol why))
      if $why && $of->{news} && $of->{action} ne 'deleted';
}

# In ten thousandths, so that no binary fraction decides; undef would count as 0.
sub moved {
    return if grep { !looks_like_number($_) } @_;
    my ($now, $before) = map { sprintf '%.0f', $_ * 10_000 } @_;
    return abs($now - $before) * 10 > $before;
}

sub state_now { $redis->exists("$keys:alive") ? 'fresh' : 'stale' }

sub latest {
    my ($symbol) = @_;
    connect_redis();
    my $alive = state_now();    # first: what is read after it is no older
    say_line("latest\t$symbol\t$alive", { $redis->hgetall("$keys:latest:$symbol") }, @latest);
}

sub tail {
    my ($last, $left) = (shift // '0-0', shift // 0);
    for_ever(sub {
        my $read = $redis->xread('COUNT', 100, 'BLOCK', 1000, 'STREAMS', $log, $last);
        for (map { @{ $_->[1] } } @{ $read // [] }) {
            act($_->[0], { @{ $_->[1] } });
            $last = $_->[0];
            exit if --$left == 0;
        }
    });
}

sub work {
    my ($group, $name, $idle, $cursor) = (shift, shift, shift // 60_000, '0-0');
    for_ever(sub {
        eval { $redis->xgroup('CREATE', $log, $group, 0, 'MKSTREAM') };
        die $@ if $@ && $@ !~ /BUSYGROUP/;    # else it is there
        my $claimed = $redis->xautoclaim($log, $group, $name, $idle, $cursor, 'COUNT', 100);
        $cursor = $claimed->[0];
        my @batch = grep { defined } @{ $claimed->[1] };    # undef: trimmed away meanwhile
        if (!@batch) {
            my @group = ('GROUP', $group, $name, 'COUNT', 100, 'BLOCK', 1000);
            my $read  = $redis->xreadgroup(@group, 'STREAMS', $log, '>');
            @batch = map { @{ $_->[1] } } @{ $read // [] };
        }
        for (@batch) {
            act($_->[0], { @{ $_->[1] } });
            $redis->xack($log, $group, $_->[0]);
        }
    });
}

sub for_ever {
    my ($once) = @_;
    while (1) {
        eval {
            connect_redis() if !$redis;
            tell_state(state_now());
            $once->();
            1;
        } and next;
        warn $@;
        undef $redis;
        tell_state('stale');
        select undef, undef, undef, 0.5;
    }
}

my ($command, @words) = @ARGV;
my %takes = (latest => [\&latest, 1, 1], tail => [\&tail, 0, 2], work => [\&work, 2, 3]);
my ($does, $least, $most) = @{ $takes{ $command // '' } // [] };
if (!$does || @words < $least || @words > $most) {
    say STDERR 'usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]';
    exit 2;
}
$does->(@words);
