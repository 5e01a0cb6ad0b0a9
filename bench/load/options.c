#include "bench/load/options.h"

#include <getopt.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text.h"
#include "teddy/err.h"

const char *const load_mode_names[LOAD_MODES] = {"echo", "idle", "handshake", "claims", "storm"};

static const char intro[] =
    "usage: teddy-load echo|idle|handshake|claims|storm --url URL [options]\n"
    "\n"
    "Load on a server, from one thread: every byte that comes back is checked, and the server's\n"
    "CPU is taken from the system's accounts. The last line it prints is the result, as JSON.\n"
    "\n"
    "  echo       messages over --connections WebSockets for --seconds\n"
    "  idle       opens --connections, prints {\"opened\":N}, holds them until stdin closes\n"
    "  handshake  connect, upgrade, close, again and again for --seconds\n"
    "  claims     signed claims over --connections kept alive, for --seconds\n"
    "  storm      holds --connections, prints {\"opened\":N}; when the server goes and is back,\n"
    "             all come back, and it says how long that took\n"
    "\n";

static const char outro[] =
    "\n"
    "Without --ca no certificate is checked: that is work of a client which the server's figures\n"
    "do not depend on. Exit status: 0 done; 1 something wrong came back, or a connection failed;\n"
    "2 wrong usage.\n";

enum kind { TEXT, NUMBER, FLAG, FORMAT, TLS, SECONDS };

struct row {
    const char *name, *value, *help;
    enum kind kind;
    void *to;
    uint32_t min, max;
};

#define ROWS_MAX           32
#define HANDSHAKES_AT_ONCE 16

static bool usage(int *status, const char *what, const char *which)
{
    fprintf(stderr, "teddy-load: %s%s; see teddy-load --help\n", what, which);
    *status = EXIT_USAGE;
    return false;
}

static void print_help(const struct row *rows, size_t count)
{
    char left[48];

    fputs(intro, stdout);
    for (size_t i = 0; i < count; i++) {
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].value[0] ? " " : "",
                 rows[i].value);
        printf("  %-22s %s\n", left, rows[i].help);
    }
    fputs(outro, stdout);
}

static bool take_word(const struct row *row, const char *value)
{
    if (row->kind == FORMAT) {
        *(bool *)row->to = strcmp(value, "teddy") == 0;
        return *(bool *)row->to || strcmp(value, "raw") == 0;
    }
    *(uint16_t *)row->to = strcmp(value, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    return strcmp(value, "1.2") == 0 || strcmp(value, "1.3") == 0;
}

/* Thousandths of what is given as 2 or 0.5; false: not that, or out of the row's bounds. */
static bool take_seconds(const struct row *row, const char *value)
{
    char *end;
    double s = strtod(value, &end);

    if (end == value || *end != '\0' || !(s * 1000 >= row->min && s * 1000 <= row->max))
        return false;
    *(uint32_t *)row->to = (uint32_t)(s * 1000 + 0.5);
    return true;
}

static bool take(const struct row *row, const char *value, int *status)
{
    uint64_t n;

    switch (row->kind) {
    case TEXT:
        *(const char **)row->to = value;
        return true;
    case FLAG:
        *(bool *)row->to = true;
        return true;
    case FORMAT:
    case TLS:
        return take_word(row, value) || usage(status, "no such value of --", row->name);
    case SECONDS:
        return take_seconds(row, value) ||
               usage(status, "not a number within its bounds: --", row->name);
    case NUMBER:
        break;
    }
    if (u64_parse(span_of(value), &n) != TEDDY_OK || n < row->min || n > row->max)
        return usage(status, "not a number within its bounds: --", row->name);
    *(uint32_t *)row->to = (uint32_t)n;
    return true;
}

static bool take_mode(struct options *o, const char *word, int *status)
{
    for (int i = 0; i < LOAD_MODES; i++)
        if (strcmp(word, load_mode_names[i]) == 0) {
            o->mode = (enum load_mode)i;
            return true;
        }
    return usage(status, "no such mode: ", word);
}

static bool parse(int argc, char **argv, struct options *o, const struct row *rows, size_t count,
                  int *status)
{
    struct option longs[ROWS_MAX + 2] = {{0}};
    int c;

    for (size_t i = 0; i < count; i++)
        longs[i] =
            (struct option){rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument,
                            NULL, 256 + (int)i};
    longs[count] = (struct option){"help", no_argument, NULL, 'h'};
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'h') {
            print_help(rows, count);
            *status = EXIT_DONE;
            return false;
        }
        if (c == '?')
            return usage(status, "wrong usage", "");
        if (!take(&rows[c - 256], optarg, status))
            return false;
    }
    if (optind + 1 != argc)
        return usage(status, "one mode is wanted", "");
    return take_mode(o, argv[optind], status);
}

static bool check(const struct options *o, int *status)
{
    if (o->url == NULL)
        return usage(status, "missing: --url", "");
    if ((o->mode == LOAD_CLAIMS) != (o->devices_file != NULL))
        return usage(status, "claims, and nothing else, takes --devices-file", "");
    if (o->bearer_file != NULL && o->tokens_file != NULL)
        return usage(status, "--bearer-file or --tokens-file, not both", "");
    if (o->refresh_percent > 0 && o->tokens_file == NULL)
        return usage(status, "--refresh-percent takes --tokens-file with refresh tokens", "");
    return true;
}

bool options_parse(int argc, char **argv, struct options *o, int *status)
{
    const struct row rows[] = {
        {"url", "URL", "ws:// or wss://, of claims http:// or https://", TEXT, &o->url, 0, 0},
        {"connections", "N", "default 1", NUMBER, &o->connections, 1, 1000000},
        {"size", "B", "bytes of a message; default 128", NUMBER, &o->size, 1, 1 << 20},
        {"seconds", "S", "0.1 or more, default 5; of storm the longest wait, default 120", SECONDS,
         &o->lasts_ms, 100, 1000000000},
        {"in-flight", "K", "messages under way on each connection; default 1", NUMBER,
         &o->in_flight, 1, IN_FLIGHT_MAX},
        {"rate", "R", "operations a second, timed from when each was due; default: all it can",
         NUMBER, &o->rate, 1, 10000000},
        {"operations", "N", "claims: end after so many instead", NUMBER, &o->operations, 1,
         1000000000},
        {"concurrency", "C",
         "connections being made at once; default 64, of handshake 16, of a storm's return 500",
         NUMBER, &o->concurrency, 1, 1000000},
        {"format", "F", "raw: what was sent comes back; teddy: as a session's echo", FORMAT,
         &o->teddy, 0, 0},
        {"bearer-file", "FILE", "a token for all", TEXT, &o->bearer_file, 0, 0},
        {"tokens-file", "FILE",
         "`device_id token [refresh]` a line, a line for a connection; the "
         "path gets /device_id appended",
         TEXT, &o->tokens_file, 0, 0},
        {"devices-file", "FILE", "`device_id,secret` a line, for claims", TEXT, &o->devices_file, 0,
         0},
        {"write-tokens", "FILE", "claims: the tokens got, as --tokens-file takes them", TEXT,
         &o->write_tokens, 0, 0},
        {"resume", "", "TLS sessions are resumed with their tickets", FLAG, &o->resume, 0, 0},
        {"tls", "V", "1.2 or 1.3 alone", TLS, &o->tls_version, 0, 0},
        {"ca", "FILE", "the authority to trust, PEM", TEXT, &o->ca, 0, 0},
        {"spread", "", "each connection from an address of its own in 127.0.0.0/8", FLAG,
         &o->spread, 0, 0},
        {"refresh-percent", "P", "storm: so many of the toys refresh their tokens first", NUMBER,
         &o->refresh_percent, 0, 100},
        {"backoff-ms", "N", "storm: bound of the first wait, doubling to 16 times; default 250",
         NUMBER, &o->backoff_ms, 1, 60000},
        {"cpu", "K", "run on that core", NUMBER, &o->cpu, 0, 1023},
        {"server-pid", "PID", "count the CPU of its threads and children", NUMBER, &o->server_pid,
         1, INT32_MAX},
        {"server-pid-file", "FILE", "where the pid stands; read anew after a storm", TEXT,
         &o->pid_file, 0, 0},
    };

    _Static_assert(sizeof rows / sizeof rows[0] <= ROWS_MAX, "ROWS_MAX");
    *o = (struct options){.connections = 1, .size = 128, .in_flight = 1, .backoff_ms = 250};
    o->cpu = NO_CPU;
    if (!parse(argc, argv, o, rows, sizeof rows / sizeof rows[0], status))
        return false;
    if (o->mode == LOAD_HANDSHAKE) { /* its connections are those being made */
        o->connections = o->concurrency > 0 ? o->concurrency : HANDSHAKES_AT_ONCE;
        o->spread = true;
    }
    if (o->lasts_ms == 0)
        o->lasts_ms = o->mode == LOAD_STORM ? 120000 : 5000;
    return check(o, status);
}
