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
	keys    = or(os.Getenv("KEYS"), "bz:ratings")
	log     = keys + ":events"
	oneLine = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")
	told    string
	pool    = redis.Pool{MaxIdle: 1, Dial: func() (redis.Conn, error) {
		url := or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379")
		return redis.DialURL(url, redis.DialReadTimeout(5*time.Second))
	}}
)

type entry struct {
	id     string
	fields map[string]string
}

func or(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}

func say(words string, of map[string]string, names string) {
	for _, name := range strings.Fields(names) {
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

func act(e entry) {
	of := e.fields
	if of["action"] == "gap" {
		say("gap\t"+e.id, of, "from to cause recovered")
		return
	}
	say("entry\t"+e.id, of, `action symbol record version published effect news firm direction
		rating rating_prior pt pt_prior rating_id value target shift`)
	why := of["direction"]
	if why != "up" && why != "down" {
		why = moved(of["pt"], of["pt_prior"])
	}
	if why != "" && of["news"] != "" && of["action"] != "deleted" {
		of["why"] = why
		say("alert\t"+e.id, of, "symbol why")
	}
}

// moved is to the digit, and "" where one is absent or no number.
func moved(pt, prior string) string {
	now, is := new(big.Rat).SetString(pt)
	before, was := new(big.Rat).SetString(prior)
	if is && was {
		change := new(big.Rat).Sub(now, before)
		if change.Mul(change.Abs(change), big.NewRat(10, 1)).Cmp(before) > 0 {
			return "target"
		}
	}
	return ""
}

func do(command string, words ...interface{}) (interface{}, error) {
	conn := pool.Get()
	defer conn.Close()
	return conn.Do(command, words...)
}

func state() (string, error) {
	alive, err := redis.Bool(do("EXISTS", keys+":alive"))
	if alive {
		return "fresh", err
	}
	return "stale", err
}

func latest(symbol string) error {
	alive, err := state() // first: what is read after it is no older
	if err != nil {
		return err
	}
	of, err := redis.StringMap(do("HGETALL", keys+":latest:"+symbol))
	if err != nil {
		return err
	}
	say("latest\t"+symbol+"\t"+alive, of, `_record _version _firm _direction
		rating_current rating consensus_rating pt_current pt consensus_price_target`)
	return nil
}

func tail(last string, left int) {
	forEver(func() error {
		found, err := read(do("XREAD", "COUNT", 100, "BLOCK", 1000, "STREAMS", log, last))
		for _, each := range found {
			act(each)
			if last, left = each.id, left-1; left == 0 {
				os.Exit(0)
			}
		}
		return err
	})
}

func work(group, name, idle string) {
	cursor := "0-0"
	forEver(func() error {
		_, err := do("XGROUP", "CREATE", log, group, 0, "MKSTREAM")
		if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") { // else it is there
			return err
		}
		left, err := redis.Values(do("XAUTOCLAIM", log, group, name, idle, cursor, "COUNT", 100))
		if err != nil {
			return err
		}
		cursor = string(left[0].([]byte))
		batch := entries(left[1])
		if len(batch) == 0 {
			batch, err = read(do("XREADGROUP", "GROUP", group, name,
				"COUNT", 100, "BLOCK", 1000, "STREAMS", log, ">"))
		}
		for _, each := range batch {
			act(each)
			if _, err := do("XACK", log, group, each.id); err != nil {
				return err
			}
		}
		return err
	})
}

// read returns the entries of the one stream that was read, none where none came in time.
func read(reply interface{}, err error) ([]entry, error) {
	if reply == nil || err != nil {
		return nil, err
	}
	return entries(reply.([]interface{})[0].([]interface{})[1]), nil
}

func entries(list interface{}) (found []entry) {
	for _, each := range list.([]interface{}) {
		if pair, there := each.([]interface{}); there { // else trimmed away meanwhile
			fields, _ := redis.StringMap(pair[1], nil)
			found = append(found, entry{string(pair[0].([]byte)), fields})
		}
	}
	return found
}

func forEver(once func() error) {
	for {
		now, err := state()
		if err == nil {
			tell(now)
			err = once()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			tell("stale")
			time.Sleep(500 * time.Millisecond)
		}
	}
}

func main() {
	given := len(os.Args) - 2                // behind the command
	words := append(os.Args[1:], "", "", "") // what is not given is ""
	switch command := words[0]; {
	case command == "latest" && given == 1:
		if err := latest(words[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case command == "tail" && given <= 2:
		left, _ := strconv.Atoi(words[2])
		tail(or(words[1], "0-0"), left)
	case command == "work" && (given == 2 || given == 3):
		work(words[1], words[2], or(words[3], "60000"))
	default:
		fmt.Fprintln(os.Stderr, "usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]")
		os.Exit(2)
	}
}
