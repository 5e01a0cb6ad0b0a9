#include "bench/load/options.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "tools/cmdline.h"

const char *const load_mode_names[LOAD_MODES] = {"echo",   "idle",  "handshake",
                                                 "claims", "storm", "talk"};

static const char intro[] =
    "usage: teddy-load echo|idle|handshake|claims|storm|talk --url URL [options]\n"
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
    "  talk       says something on --connections, again after each reply of chat_backend's, for\n"
    "             --seconds; what is timed is what the server adds to the backend's own time\n"
    "\n";

static const char outro[] =
    "\n"
    "Without --ca no certificate is checked: that is work of a client which the server's figures\n"
    "do not depend on. Exit status: 0 done; 1 something wrong came back, or a connection failed;\n"
    "2 wrong usage.\n";

#define HANDSHAKES_AT_ONCE 16

static bool usage(int *status, const char *what, const char *which)
{
    return cmdline_wrong("teddy-load", status, what, which);
}

/* Of --format and --tls; NULL: not given. */
static bool take_words(struct options *o, const char *format, const char *tls, int *status)
{
    bool newest = tls != NULL && strcmp(tls, "1.3") == 0;

    o->teddy = format != NULL && strcmp(format, "teddy") == 0;
    if (format != NULL && !o->teddy && strcmp(format, "raw") != 0)
        return usage(status, "no such value of --", "format");
    if (tls != NULL && !newest && strcmp(tls, "1.2") != 0)
        return usage(status, "no such value of --", "tls");
    if (tls != NULL)
        o->tls_version = newest ? TLS1_3_VERSION : TLS1_2_VERSION;
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

static bool check(const struct options *o, int *status)
{
    if (o->url == NULL)
        return usage(status, "missing: --url", "");
    if ((o->mode == LOAD_CLAIMS) != (o->devices_file != NULL))
        return usage(status, "claims, and nothing else, takes --devices-file", "");
    if (o->turns && o->mode != LOAD_ECHO)
        return usage(status, "echo, and nothing else, takes --turns", "");
    if (o->bearer_file != NULL && o->tokens_file != NULL)
        return usage(status, "--bearer-file or --tokens-file, not both", "");
    if (o->refresh_percent > 0 && o->tokens_file == NULL)
        return usage(status, "--refresh-percent takes --tokens-file with refresh tokens", "");
    return true;
}

bool options_parse(int argc, char **argv, struct options *o, int *status)
{
    const char *format = NULL, *tls = NULL;
    int rest;
    const struct cmdline_row rows[] = {
        {"url", "URL", "ws:// or wss://, of claims http:// or https://", CMDLINE_TEXT, &o->url, 0,
         0},
        {"connections", "N", "default 1", CMDLINE_NUMBER, &o->connections, 1, 1000000},
        {"size", "B", "bytes of a message; default 128", CMDLINE_NUMBER, &o->size, 1, 1 << 20},
        {"seconds", "S", "0.1 or more, default 5; of storm the longest wait, default 120",
         CMDLINE_SECONDS, &o->lasts_ms, 100, 1000000000},
        {"in-flight", "K", "messages under way on each connection; default 1", CMDLINE_NUMBER,
         &o->in_flight, 1, IN_FLIGHT_MAX},
        {"rate", "R", "operations a second, timed from when each was due; default: all it can",
         CMDLINE_NUMBER, &o->rate, 1, 10000000},
        {"operations", "N", "claims: end after so many instead", CMDLINE_NUMBER, &o->operations, 1,
         1000000000},
        {"concurrency", "C",
         "connections being made at once; default 64, of handshake 16, of a storm's return 500",
         CMDLINE_NUMBER, &o->concurrency, 1, 1000000},
        {"turns", "", "echo: prints {\"opened\":N}; for each line of stdin --seconds and a result",
         CMDLINE_FLAG, &o->turns, 0, 0},
        {"format", "F", "raw: what was sent comes back; teddy: as a session's echo", CMDLINE_TEXT,
         &format, 0, 0},
        {"bearer-file", "FILE", "a token for all", CMDLINE_TEXT, &o->bearer_file, 0, 0},
        {"tokens-file", "FILE",
         "`device_id token [refresh]` a line, a line for a connection; the "
         "path gets /device_id appended",
         CMDLINE_TEXT, &o->tokens_file, 0, 0},
        {"devices-file", "FILE", "`device_id,secret` a line, for claims", CMDLINE_TEXT,
         &o->devices_file, 0, 0},
        {"write-tokens", "FILE", "claims: the tokens got, as --tokens-file takes them",
         CMDLINE_TEXT, &o->write_tokens, 0, 0},
        {"resume", "", "TLS sessions are resumed with their tickets", CMDLINE_FLAG, &o->resume, 0,
         0},
        {"tls", "V", "1.2 or 1.3 alone", CMDLINE_TEXT, &tls, 0, 0},
        {"ca", "FILE", "the authority to trust, PEM", CMDLINE_TEXT, &o->ca, 0, 0},
        {"spread", "", "each connection from an address of its own in 127.0.0.0/8", CMDLINE_FLAG,
         &o->spread, 0, 0},
        {"refresh-percent", "P", "storm: so many of the toys refresh their tokens first",
         CMDLINE_NUMBER, &o->refresh_percent, 0, 100},
        {"backoff-ms", "N", "storm: bound of the first wait, doubling to 16 times; default 250",
         CMDLINE_NUMBER, &o->backoff_ms, 1, 60000},
        {"cpu", "K", "run on that core", CMDLINE_NUMBER, &o->cpu, 0, 1023},
        {"server-pid", "PID", "count the CPU of its threads and children", CMDLINE_NUMBER,
         &o->server_pid, 1, INT32_MAX},
        {"server-pid-file", "FILE", "where the pid stands; read anew after a storm", CMDLINE_TEXT,
         &o->pid_file, 0, 0},
    };
    const struct cmdline line = {
        "teddy-load", NULL, intro, outro, 22, rows, sizeof rows / sizeof rows[0], NULL, NULL};

    *o = (struct options){.connections = 1, .size = 128, .in_flight = 1, .backoff_ms = 250};
    o->cpu = NO_CPU;
    if (!cmdline_parse(&line, argc, argv, &rest, status))
        return false;
    if (rest + 1 != argc)
        return usage(status, "one mode is wanted", "");
    if (!take_words(o, format, tls, status) || !take_mode(o, argv[rest], status))
        return false;
    if (o->mode == LOAD_HANDSHAKE) { /* its connections are those being made */
        o->connections = o->concurrency > 0 ? o->concurrency : HANDSHAKES_AT_ONCE;
        o->spread = true;
    }
    if (o->lasts_ms == 0)
        o->lasts_ms = o->mode == LOAD_STORM ? 120000 : 5000;
    return check(o, status);
}
