#!/usr/bin/env ruby
# What README.md says, with redis-rb: apt-get install ruby-redis
require "redis"

Encoding.default_external = "UTF-8" # also where a service has no locale
KEYS = ENV.fetch("KEYS", "bz:ratings")
LOG = "#{KEYS}:events"
ENTRY = %w[action symbol record version published effect news firm direction rating
           rating_prior pt pt_prior rating_id value target shift]
LATEST = %w[_record _version _firm _direction rating_current rating consensus_rating
            pt_current pt consensus_price_target]
REDIS = Redis.new(url: ENV.fetch("REDIS_URL", "redis://127.0.0.1:6379"))
$stdout.sync = true

def say(*words, names: [], of: {})
  fields = names.select { |name| of.key?(name) }
                .map { |name| "#{name}=#{of[name].tr("\t\r\n", " ")}" }
  puts [*words, *fields].join("\t")
end

def tell(state)
  say(state) if state != @told
  @told = state
end

def act(entry, of)
  return say("gap", entry, names: %w[from to cause recovered], of: of) if of["action"] == "gap"

  say("entry", entry, names: ENTRY, of: of)
  why = of["direction"]
  why = ("target" if moved?(of["pt"], of["pt_prior"])) unless %w[up down].include?(why)
  return unless why && of["news"] && of["action"] != "deleted"

  say("alert", entry, names: %w[symbol why], of: of.merge("why" => why))
end

# To the digit; what is absent or no number has not moved (nil.to_r is 0).
def moved?(*targets)
  now, before = targets.map { |text| Rational(text, exception: false) }
  now && before && (now - before).abs * 10 > before
end

def state
  REDIS.exists?("#{KEYS}:alive") ? "fresh" : "stale"
end

def latest(symbol)
  alive = state # first: what is read after it is no older
  say("latest", symbol, alive, names: LATEST, of: REDIS.hgetall("#{KEYS}:latest:#{symbol}"))
end

def tail(last = "0-0", count = 0)
  left = count.to_i
  for_ever do
    REDIS.xread(LOG, last, count: 100, block: 1000).fetch(LOG, []).each do |entry, of|
      act(entry, of)
      last = entry
      exit if (left -= 1).zero?
    end
  end
end

def work(group, name, idle = 60_000)
  cursor = "0-0"
  for_ever do
    create(group)
    # Not `xautoclaim`, which fails on the nil of what was trimmed away meanwhile.
    cursor, left = REDIS.call("XAUTOCLAIM", LOG, group, name, idle, cursor, "COUNT", 100)
    batch = left.compact.map { |entry, flat| [entry, flat.each_slice(2).to_h] }
    if batch.empty?
      batch = REDIS.xreadgroup(group, name, LOG, ">", count: 100, block: 1000).fetch(LOG, [])
    end
    batch.each do |entry, of|
      act(entry, of)
      REDIS.xack(LOG, group, entry)
    end
  end
end

def create(group)
  REDIS.xgroup(:create, LOG, group, "0", mkstream: true)
rescue Redis::CommandError => e
  raise unless e.message.start_with?("BUSYGROUP") # else it is there
end

def for_ever
  loop do
    tell(state)
    yield
  rescue Redis::BaseError => e
    warn e.message
    tell("stale")
    sleep 0.5
  end
end

command, *words = ARGV
unless { "latest" => [1], "tail" => [0, 1, 2], "work" => [2, 3] }[command]&.include?(words.size)
  warn "usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]"
  exit 2
end

begin
  send(command, *words)
rescue Interrupt
  exit 130
rescue Errno::EPIPE # as `| head` has enough
  exit 1
end
