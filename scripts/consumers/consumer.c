// What README.md says, with hiredis: apt-get install gcc libhiredis-dev
// cc -o consumer consumer.c -lhiredis -lm
#include <hiredis/hiredis.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *ENTRY[] = {"action", "symbol", "record", "version", "published",
    "effect", "news", "firm", "direction", "rating", "rating_prior", "pt", "pt_prior",
    "rating_id", "value", "target", "shift", NULL};
static const char *LATEST[] = {"_record", "_version", "_firm", "_direction",
    "rating_current", "rating", "consensus_rating", "pt_current", "pt",
    "consensus_price_target", NULL};
static const char *GAP[] = {"from", "to", "cause", "recovered", NULL};
static char keys[256], events[300], last[64] = "0-0"; // the entry acted on
static long left; // entries until the end; 0: there is none
static redisContext *redis;

// NULL where the field is absent.
static const char *field(const redisReply *of, const char *name) {
    for (size_t i = 0; i + 1 < of->elements; i += 2)
        if (!strcmp(of->element[i]->str, name)) return of->element[i + 1]->str;
    return NULL;
}

static void put(const char *name, const char *value) {
    if (!value) return;
    printf("\t%s=", name);
    for (; *value; value++) putchar(strchr("\t\r\n", *value) ? ' ' : *value);
}

static void put_all(const redisReply *of, const char **names) {
    for (; *names; names++) put(*names, field(of, *names));
    putchar('\n');
}

static void tell(const char *state) {
    static const char *told;
    if (!told || strcmp(told, state)) puts(state);
    told = state;
}

// In ten thousandths, so that no binary fraction decides; 0 where one is no number.
static int moved(const char *pt, const char *prior) {
    char *after_pt, *after_prior;
    if (!pt || !prior || !*pt || !*prior) return 0;
    double now = round(strtod(pt, &after_pt) * 10000);
    double before = round(strtod(prior, &after_prior) * 10000);
    return !*after_pt && !*after_prior && fabs(now - before) * 10 > before;
}

static void act(const char *id, const redisReply *of) {
    const char *action = field(of, "action"), *why = field(of, "direction");
    if (!strcmp(action, "gap")) {
        printf("gap\t%s", id);
        put_all(of, GAP);
        return;
    }
    printf("entry\t%s", id);
    put_all(of, ENTRY);
    if (!why || (strcmp(why, "up") && strcmp(why, "down")))
        why = moved(field(of, "pt"), field(of, "pt_prior")) ? "target" : NULL;
    if (why && field(of, "news") && strcmp(action, "deleted")) {
        printf("alert\t%s", id);
        put("symbol", field(of, "symbol"));
        put("why", why);
        putchar('\n');
    }
}

// NULL where the connection is lost, or the server said no.
static redisReply *ask(const char *format, ...) {
    va_list words;
    va_start(words, format);
    redisReply *reply = redisvCommand(redis, format, words);
    va_end(words);
    if (reply && reply->type != REDIS_REPLY_ERROR) return reply;
    fprintf(stderr, "%s\n", reply ? reply->str : redis->errstr);
    freeReplyObject(reply);
    return NULL;
}

static int connect_to(const char *url) {
    char host[128] = "127.0.0.1", login[256] = "", *password = login;
    int port = 6379, db = 0;
    if (url && sscanf(url, "redis://%255[^@/]@%127[^:/]:%d/%d", login, host, &port, &db) < 2) {
        *login = 0;
        sscanf(url, "redis://%127[^:/]:%d/%d", host, &port, &db);
    }
    redisFree(redis);
    redis = redisConnectWithTimeout(host, port, (struct timeval){5, 0});
    if (!redis || redis->err) return 0;
    redisSetTimeout(redis, (struct timeval){5, 0});
    const char *user = strsep(&password, ":"); // what is left is the password
    if (password && *user) freeReplyObject(ask("AUTH %s %s", user, password));
    else if (password) freeReplyObject(ask("AUTH %s", password));
    if (db) freeReplyObject(ask("SELECT %d", db));
    return !redis->err;
}

static const char *state(void) {
    redisReply *reply = ask("EXISTS %s:alive", keys);
    const char *said = !reply ? NULL : reply->integer ? "fresh" : "stale";
    freeReplyObject(reply);
    return said;
}

static int latest(const char *symbol) {
    const char *alive = state(); // first: what is read after it is no older
    redisReply *of = alive ? ask("HGETALL %s:latest:%s", keys, symbol) : NULL;
    if (!of) return 1;
    printf("latest\t%s\t%s", symbol, alive);
    put_all(of, LATEST);
    freeReplyObject(of);
    return 0;
}

// Act on each of a list of entries; return how many, -1 where the connection was lost.
static int each(const redisReply *entries, const char *group) {
    int found = 0;
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        if (entry->type == REDIS_REPLY_NIL) continue; // trimmed away meanwhile
        found++;
        snprintf(last, sizeof last, "%s", entry->element[0]->str);
        act(last, entry->element[1]);
        if (left && --left == 0) exit(0);
        redisReply *done = group ? ask("XACK %s %s %s", events, group, last) : NULL;
        if (group && !done) return -1;
        freeReplyObject(done);
    }
    return found;
}

// The same of a reply with one stream, or none, that it frees; 0 where it failed.
static int each_read(redisReply *reply, const char *group) {
    int is_any = reply && reply->type == REDIS_REPLY_ARRAY;
    int found = is_any ? each(reply->element[0]->element[1], group) : reply ? 0 : -1;
    freeReplyObject(reply);
    return found >= 0;
}

static int tail(void) {
    return each_read(ask("XREAD COUNT 100 BLOCK 1000 STREAMS %s %s", events, last), NULL);
}

static int work(const char *group, const char *name, const char *idle) {
    static char cursor[64] = "0-0";
    freeReplyObject(redisCommand(redis, "XGROUP CREATE %s %s 0 MKSTREAM", events, group));
    redisReply *old = ask("XAUTOCLAIM %s %s %s %s %s COUNT 100", events, group, name, idle, cursor);
    if (!old) return 0;
    snprintf(cursor, sizeof cursor, "%s", old->element[0]->str);
    int found = each(old->element[1], group);
    freeReplyObject(old);
    if (found) return found > 0;
    return each_read(ask("XREADGROUP GROUP %s %s COUNT 100 BLOCK 1000 STREAMS %s >", group, name,
        events), group);
}

int main(int argc, char **argv) {
    const char *url = getenv("REDIS_URL"), *under = getenv("KEYS"), *now;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); // a line at once, to a pipe too
    snprintf(keys, sizeof keys, "%s", under ? under : "bz:ratings");
    snprintf(events, sizeof events, "%s:events", keys);
    const char *does = argc > 1 ? argv[1] : "";
    if (argc == 3 && !strcmp(does, "latest")) return !connect_to(url) || latest(argv[2]);
    int works = (argc == 4 || argc == 5) && !strcmp(does, "work");
    if (!works && (argc > 4 || strcmp(does, "tail"))) {
        fputs("usage: consumer latest SYMBOL | tail [ID [COUNT]] | work GROUP NAME [IDLE]\n", stderr);
        return 2;
    }
    if (!works && argc > 2) snprintf(last, sizeof last, "%s", argv[2]);
    if (!works && argc > 3) left = atol(argv[3]);
    const char *idle = argc > 4 ? argv[4] : "60000";
    for (;;) {
        if (connect_to(url))
            while ((now = state())) {
                tell(now);
                if (!(works ? work(argv[2], argv[3], idle) : tail())) break;
            }
        tell("stale");
        usleep(500000);
    }
}
