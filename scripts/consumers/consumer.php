#!/usr/bin/env php
<?php
// What README.md says, with phpredis: apt-get install php-cli php-redis
declare(strict_types=1);

const ENTRY = 'action symbol record version published effect news firm direction rating '
    . 'rating_prior pt pt_prior rating_id value target shift';
const LATEST = '_record _version _firm _direction rating_current rating '
    . 'consensus_rating pt_current pt consensus_price_target';
define('KEYS', getenv('KEYS') ?: 'bz:ratings');
define('LOG', KEYS . ':events');

function connect(): Redis
{
    $url = parse_url(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379');
    $redis = new Redis();
    $redis->connect($url['host'], $url['port'] ?? 6379, 5);
    if (isset($url['pass'])) {
        $redis->auth(array_filter([$url['user'] ?? '', $url['pass']]));
    }
    if ($database = (int) ltrim($url['path'] ?? '', '/')) {
        $redis->select($database);
    }
    return $redis;
}

function say(string $words, string $names = '', array $of = []): void
{
    foreach (explode(' ', $names) as $name) {
        if (isset($of[$name])) {
            $words .= "\t$name=" . strtr($of[$name], "\t\r\n", '   ');
        }
    }
    echo $words, "\n";
}

function tell(string $state): void
{
    static $told = '';
    if ($state !== $told) {
        say($told = $state);
    }
}

function act(string $entry, array $of): void
{
    if ($of['action'] === 'gap') {
        say("gap\t$entry", 'from to cause recovered', $of);
        return;
    }
    say("entry\t$entry", ENTRY, $of);
    $why = match ($of['direction'] ?? '') {
        'up', 'down' => $of['direction'],
        default => moved($of['pt'] ?? '', $of['pt_prior'] ?? '') ? 'target' : '',
    };
    if ($why && isset($of['news']) && $of['action'] !== 'deleted') {
        say("alert\t$entry", 'symbol why', ['why' => $why] + $of);
    }
}

// In ten thousandths, so that no binary fraction decides; "" would count as 0.
function moved(string $now, string $before): bool
{
    if (!is_numeric($now) || !is_numeric($before)) {
        return false;
    }
    [$now, $before] = [round($now * 10000), round($before * 10000)];
    return abs($now - $before) * 10 > $before;
}

function state(Redis $redis): string
{
    return $redis->exists(KEYS . ':alive') ? 'fresh' : 'stale';
}

function latest(string $symbol): void
{
    $redis = connect();
    $alive = state($redis); // first: what is read after it is no older
    $found = $redis->hGetAll(KEYS . ":latest:$symbol");
    say("latest\t$symbol\t$alive", LATEST, $found);
}

// Not xRead and xReadGroup: when Redis goes away while phpredis 5.3 waits in them, they
// damage its memory, and entries come mixed up afterwards.
function read(Redis $redis, string ...$command): array
{
    $reply = $redis->rawCommand(...$command);
    return entries($reply[0][1] ?? []);
}

function entries(array $list): array
{
    $entries = [];
    foreach (array_filter($list) as [$entry, $flat]) { // null: trimmed away meanwhile
        $entries[$entry] = array_column(array_chunk($flat, 2), 1, 0);
    }
    return $entries;
}

function tail(string $last = '0-0', string $count = '0'): void
{
    $left = (int) $count;
    forEver(function (Redis $redis) use (&$last, &$left) {
        $how = ['COUNT', '100', 'BLOCK', '1000', 'STREAMS', LOG, $last];
        foreach (read($redis, 'XREAD', ...$how) as $last => $of) {
            act($last, $of);
            if (--$left === 0) {
                exit;
            }
        }
    });
}

function work(string $group, string $name, string $idle = '60000'): void
{
    $cursor = '0-0';
    forEver(function (Redis $redis) use ($group, $name, $idle, &$cursor) {
        $redis->xGroup('CREATE', LOG, $group, '0', true); // false where it is there
        $claim = [LOG, $group, $name, $idle, $cursor, 'COUNT', '100'];
        [$cursor, $left] = $redis->rawCommand('XAUTOCLAIM', ...$claim) ?: ['0-0', []];
        $how = ['GROUP', $group, $name, 'COUNT', '100', 'BLOCK', '1000', 'STREAMS', LOG, '>'];
        foreach (entries($left) ?: read($redis, 'XREADGROUP', ...$how) as $entry => $of) {
            act($entry, $of);
            $redis->xAck(LOG, $group, [$entry]);
        }
    });
}

function forEver(callable $once): void
{
    while (true) {
        try {
            $redis = connect();
            while (true) {
                tell(state($redis));
                $once($redis);
            }
        } catch (RedisException $lost) {
            fwrite(STDERR, $lost->getMessage() . "\n");
            tell('stale');
            usleep(500000);
        }
    }
}

[$least, $most] = ['latest' => [1, 1], 'tail' => [0, 2], 'work' => [2, 3]][$argv[1] ?? ''] ?? [1, 0];
if ($argc - 2 < $least || $argc - 2 > $most) {
    fwrite(STDERR, "usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]\n");
    exit(2);
}
$argv[1](...array_slice($argv, 2));
