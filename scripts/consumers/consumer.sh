#!/usr/bin/env bash
# What README.md says, with redis-cli 7 or newer and jq: apt-get install redis-tools jq
set -uo pipefail

keys=${KEYS:-bz:ratings}
log=$keys:events
told=
# shellcheck disable=SC2016 # they are of jq
lines='
  def fields($names): . as $of | ($names / " ")[] | select($of[.]) |
    "\t\(.)=\($of[.] | gsub("[\t\r\n]"; " "))";
  def say($words; $names): [$words, fields($names)] | add;
  # In ten thousandths, so that no binary fraction decides; empty: absent, or no number.
  def moved: try ([.pt, .pt_prior] | map(tonumber * 10000 | round) |
    select((.[0] - .[1] | fabs) * 10 > .[1]) | "target") catch empty;
  def act($id):
    if .action == "gap" then say("gap\t\($id)"; "from to cause recovered") else
      say("entry\t\($id)"; "action symbol record version published effect news firm " +
        "direction rating rating_prior pt pt_prior rating_id value target shift"),
      (select(.news and .action != "deleted") |
        .why = ((.direction | select(. == "up" or . == "down")) // moved) |
        say("alert\t\($id)"; "symbol why"))
    end;
  def object: [range(0; length; 2) as $i | {(.[$i]): .[$i + 1]}] | add;
'

ask() { redis-cli -e --json -u "${REDIS_URL:-redis://127.0.0.1:6379}" "$@"; }

state() {
  case $(ask EXISTS "$keys:alive") in
    1) echo fresh ;;
    0) echo stale ;;
    *) return 1 ;;
  esac
}

tell() {
  [ "$1" = "$told" ] || echo "$1"
  told=$1
}

# Act on the entries at a path of a reply, and leave their ids in `ids`.
act() {
  local said
  said=$(jq -r "$lines $1 | map(values) | # null: trimmed away meanwhile
    (map(.[0]) | join(\" \")), (.[] | .[0] as \$id | .[1] | object | act(\$id))" <<<"$2") || return
  read -ra ids <<<"${said%%$'\n'*}"
  [ ${#ids[@]} -eq 0 ] || echo "${said#*$'\n'}"
}

latest() {
  local alive found
  alive=$(state) && # first: what is read after it is no older
    found=$(ask HGETALL "$keys:latest:$1") &&
    jq -r --arg words "latest	$1	$alive" "$lines"'say($words; "_record _version _firm " +
      "_direction rating_current rating consensus_rating pt_current pt consensus_price_target")' <<<"$found"
}

tail_once() {
  local most=$((left > 0 && left < 100 ? left : 100)) read
  read=$(ask XREAD COUNT "$most" BLOCK 1000 STREAMS "$log" "$last") || return
  act '.[]?' "$read" || return
  [ ${#ids[@]} -gt 0 ] || return 0
  last=${ids[-1]} left=$((left - ${#ids[@]}))
  [ "$left" -ne 0 ] || exit 0
}

work_once() {
  local group=$1 name=$2 idle=${3:-60000} read
  ask XGROUP CREATE "$log" "$group" 0 MKSTREAM >/dev/null 2>&1 # it is there
  read=$(ask XAUTOCLAIM "$log" "$group" "$name" "$idle" "$cursor" COUNT 100) || return
  act '.[1]' "$read" && cursor=$(jq -r '.[0]' <<<"$read") || return
  if [ ${#ids[@]} -eq 0 ]; then
    read=$(ask XREADGROUP GROUP "$group" "$name" COUNT 100 BLOCK 1000 STREAMS "$log" ">") &&
      act '.[]?' "$read" || return
  fi
  [ ${#ids[@]} -eq 0 ] || ask XACK "$log" "$group" "${ids[@]}" >/dev/null
}

# "$@": once, and what it takes
for_ever() {
  local now
  while :; do
    if ! { now=$(state) && tell "$now" && "$@"; }; then
      tell stale
      sleep 0.5
    fi
  done
}

case $#${1-} in
  2latest) latest "$2" ;;
  [123]tail) last=${2:-0-0} left=${3:-0} && for_ever tail_once ;;
  [34]work) cursor=0-0 && shift && for_ever work_once "$@" ;;
  *) echo 'usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]' >&2 && exit 2 ;;
esac
