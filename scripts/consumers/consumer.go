// What README.md says, with redigo: apt-get install golang-go
// golang-github-gomodule-redigo-dev; GO111MODULE=off GOPATH=/usr/share/gocode go run consumer.go
package main

import (
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

var (
	keys  = or(os.Getenv("KEYS"), "bz:ratings")
	log   = keys + ":events"
	entry = strings.Fields(`action symbol record version published effect news firm direction
		rating rating_prior pt pt_prior rating_id value target shift`)
	latest = strings.Fields(`_record _version _firm _direction rating_current rating
		consensus_rating pt_current pt consensus_price_target`)
	gap     = strings.Fields("from to cause recovered")
	alert   = strings.Fields("symbol why")
	oneLine = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")
	told    string
)

func or(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}

func say(words string, of map[string]string, names []string) {
	for _, name := range names {
		if value, there := of[name]; there {
			words += "\t" + name + "=" + oneLine.Replace(value)
		}
	}
	fmt.Println(words)
}

func tell(state string) {
	if state != told {
		fmt.Println(state)
	}
	told = state
}

func act(id string, of map[string]string) {
	if of["action"] == "gap" {
		say("gap\t"+id, of, gap)
		return
	}
	say("entry\t"+id, of, entry)
	why := of["direction"]
	if why != "up" && why != "down" {
		if !moved(of["pt"], of["pt_prior"]) {
			return
		}
		why = "target"
	}
	if of["news"] != "" && of["action"] != "deleted" {
		of["why"] = why
		say("alert\t"+id, of, alert)
	}
}

// moved is to the digit, and false where one is absent or no number.
func moved(pt, prior string) bool {
	now, is := new(big.Rat).SetString(pt)
	before, was := new(big.Rat).SetString(prior)
	if !is || !was {
		return false
	}
	change := new(big.Rat).Sub(now, before)
	return change.Mul(change.Abs(change), big.NewRat(10, 1)).Cmp(before) > 0
}

func connect() (redis.Conn, error) {
	url := or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379")
	return redis.DialURL(url, redis.DialReadTimeout(5*time.Second))
}

func state(conn redis.Conn) (string, error) {
	alive, err := redis.Bool(conn.Do("EXISTS", keys+":alive"))
	if alive {
		return "fresh", err
	}
	return "stale", err
}

func showLatest(symbol string) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	alive, err := state(conn) // first: what is read after it is no older
	if err != nil {
		return err
	}
	of, err := redis.StringMap(conn.Do("HGETALL", keys+":latest:"+symbol))
	say("latest\t"+symbol+"\t"+alive, of, latest)
	return err
}

func tail(last string, left int) {
	forEver(func(conn redis.Conn) error {
		entries, err := read(conn.Do("XREAD", "COUNT", 100, "BLOCK", 1000, "STREAMS", log, last))
		_, err = each(entries, err, func(id string) error {
			if last, left = id, left-1; left == 0 {
				os.Exit(0)
			}
			return nil
		})
		return err
	})
}

func work(group, name, idle string) {
	cursor := "0-0"
	forEver(func(conn redis.Conn) error {
		acknowledge := func(id string) error {
			_, err := conn.Do("XACK", log, group, id)
			return err
		}
		conn.Do("XGROUP", "CREATE", log, group, 0, "MKSTREAM") // an error where it is there
		var left []interface{}
		claimed, err := redis.Values(conn.Do("XAUTOCLAIM", log, group, name, idle, cursor, "COUNT", 100))
		if err == nil {
			_, err = redis.Scan(claimed, &cursor, &left)
		}
		if done, err := each(left, err, acknowledge); done > 0 || err != nil {
			return err
		}
		entries, err := read(conn.Do("XREADGROUP", "GROUP", group, name,
			"COUNT", 100, "BLOCK", 1000, "STREAMS", log, ">"))
		_, err = each(entries, err, acknowledge)
		return err
	})
}

// read returns the entries of the one stream that was read, none where none came in time.
func read(reply interface{}, err error) (entries []interface{}, _ error) {
	streams, err := redis.Values(reply, err)
	if err == redis.ErrNil {
		return nil, nil
	}
	if err == nil {
		var key string
		_, err = redis.Scan(streams[0].([]interface{}), &key, &entries)
	}
	return entries, err
}

// each acts on entries, and then does what is to be done with an id; it counts them.
func each(entries []interface{}, err error, then func(id string) error) (done int, _ error) {
	for _, entry := range entries {
		if pair, there := entry.([]interface{}); there && err == nil { // else trimmed meanwhile
			id := string(pair[0].([]byte))
			of, _ := redis.StringMap(pair[1], nil)
			act(id, of)
			err = then(id)
			done++
		}
	}
	return done, err
}

func forEver(once func(redis.Conn) error) {
	for {
		conn, err := connect()
		for err == nil {
			var now string
			if now, err = state(conn); err == nil {
				tell(now)
				err = once(conn)
			}
		}
		if conn != nil {
			conn.Close()
		}
		fmt.Fprintln(os.Stderr, err)
		tell("stale")
		time.Sleep(500 * time.Millisecond)
	}
}

func main() {
	words := append(os.Args[1:], "", "", "") // what is not given is ""
	switch words[0] {
	case "latest":
		if err := showLatest(words[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "tail":
		left, _ := strconv.Atoi(words[2])
		tail(or(words[1], "0-0"), left)
	case "work":
		work(words[1], words[2], or(words[3], "60000"))
	}
}
