#include "args.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/endpoints.h"
#include "proto/ids.h"
#include "proto/limits.h"
#include "proto/text.h"
#include "teddy/client.h"
#include "teddy/version.h"

#define STR_(x) #x
#define STR(x)  STR_(x)

static const char help[] =
    "usage: teddy-device --server URL --id ID --child CHILD --secret-file FILE --state FILE "
    "[options]\n"
    "       teddy-device verify --server URL --id ID --secret-file FILE [options]\n"
    "\n"
    "A whole toy: it claims itself if it has no tokens, keeps them sealed, opens its session, says "
    "each\n"
    "line of stdin and prints the answers, prints the messages sent to it, and finds its way back "
    "by\n"
    "itself when anything breaks. At the end of input it waits until all is echoed and answered, "
    "then ends.\n"
    "\n"
    "`verify` walks the integration checklist against a server, pass or FAIL per line. It claims "
    "with the\n"
    "given device again and again: use a device of its own, for a toy's session and tokens are "
    "superseded.\n"
    "\n"
    "  --server URL            https://host[:port]; there is no default        (environment: "
    "SERVER_URL)\n"
    "  --ca FILE               the authority to trust, PEM, instead of the system's\n"
    "  --id ID                 the toy's device_id\n"
    "  --child CHILD           its child_id (verify: default \"verify\")\n"
    "  --secret-file FILE      its OOB secret, 64 hex digits, readable by its owner alone\n"
    "  --state FILE            where its tokens are kept, and in FILE.last its last message, "
    "sealed with\n"
    "                          FILE.key; verify keeps nothing\n"
    "  --firmware VERSION      told to the server, at most 32 bytes\n"
    "  --bind ADDRESS          connect from this local address\n"
    "  --claim-endpoint PATH   default " ENDPOINT_CLAIM "          (environment: CLAIM_ENDPOINT)\n"
    "  --ws-endpoint PATH      default " ENDPOINT_WS
    "                   (environment: WS_ENDPOINT)\n"
    "  --allow-plain           accept http://, for development on one machine\n"
    "\n"
    "  --linger-s N            at the end of input, end when nothing was answered for so long; "
    "default 30,\n"
    "                          0 to 3600\n"
    "  --ahead N               lines said before the earlier ones are answered; default 1, 1 to "
    "64\n"
    "  --quiet                 print the teddy's answers, messages and failures alone\n"
    "  --json                  print events as JSON, one a line\n"
    "  --verbose               more about what happens, on stderr\n"
    "\n"
    "  Waits after failures, milliseconds, full jitter; at most 3600000:\n"
    "  --backoff-floor-ms N    the shortest, default " STR(
        TEDDY_BACKOFF_FLOOR_MS) "\n"
                                "  --backoff-base-ms N     the bound of the first, doubling, "
                                "default " STR(
                                    TEDDY_BACKOFF_BASE_MS) "\n"
                                                           "  --backoff-cap-ms N      the longest, "
                                                           "default " STR(
                                                               TEDDY_BACKOFF_CAP_MS) "\n"
                                                                                     "  "
                                                                                     "--backoff-"
                                                                                     "refused-ms N "
                                                                                     " the first "
                                                                                     "after a "
                                                                                     "refusal that "
                                                                                     "people must "
                                                                                     "mend, "
                                                                                     "default " STR(
                                                                                         TEDDY_BACKOFF_REFUSED_MS) "\n"
                                                                                                                   "  --step-timeout-ms N     for connecting or an answer, default " STR(
                                                                                                                       TEDDY_STEP_TIMEOUT_MS) "\n"
                                                                                                                                              "  --echo-timeout-ms N     before a line is said again, default " STR(
                                                                                                                                                  TEDDY_ECHO_TIMEOUT_MS) "\n"
                                                                                                                                                                         "\n"
                                                                                                                                                                         "  --help, --version\n"
                                                                                                                                                                         "\n"
                                                                                                                                                                         "Exit status: 0 done; 1 failed, or something said was never echoed; 2 wrong usage.\n";

enum option_kind { TEXT, NUMBER, FLAG };

struct option_row {
    const char *name;
    enum option_kind kind;
    void *to;
    uint32_t min, max;
};

static bool usage(int *status, const char *what, const char *which)
{
    fprintf(stderr, "teddy-device: %s%s; see teddy-device --help\n", what, which);
    *status = EXIT_USAGE;
    return false;
}

static bool take(const struct option_row *row, const char *value, int *status)
{
    uint64_t n;

    switch (row->kind) {
    case TEXT:
        *(const char **)row->to = value;
        return true;
    case FLAG:
        *(bool *)row->to = true;
        return true;
    case NUMBER:
        break;
    }
    if (u64_parse(span_of(value), &n) != TEDDY_OK || n < row->min || n > row->max)
        return usage(status, "not a number within its bounds: --", row->name);
    *(uint32_t *)row->to = (uint32_t)n;
    return true;
}

static bool missing(const struct args *a, int *status)
{
    const char *what = !a->server                ? "--server URL (or SERVER_URL)"
                       : !a->id                  ? "--id ID"
                       : !a->child               ? "--child CHILD"
                       : !a->secret_file         ? "--secret-file FILE"
                       : !a->state && !a->verify ? "--state FILE"
                                                 : NULL;

    return what ? !usage(status, "missing: ", what) : false;
}

static bool check(const struct args *a, int *status)
{
    if (missing(a, status))
        return false;
    if (!id_ok(span_of(a->id)) || !id_ok(span_of(a->child)))
        return usage(status, "--id and --child are 1 to 64 of A-Z a-z 0-9 _ -", "");
    if (a->firmware && (strlen(a->firmware) > LIMIT_FIRMWARE_LEN ||
                        !span_within(span_of(a->firmware), TEDDY_FIRMWARE_OTHERS)))
        return usage(status, "--firmware is at most 32 of A-Z a-z 0-9 " TEDDY_FIRMWARE_OTHERS, "");
    if (a->times.backoff_cap_ms && a->times.backoff_floor_ms > a->times.backoff_cap_ms)
        return usage(status, "--backoff-floor-ms is over --backoff-cap-ms", "");
    return true;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] != '\0' ? value : NULL;
}

static void defaults(struct args *out)
{
    memset(out, 0, sizeof *out);
    out->server = environment("SERVER_URL");
    out->claim_endpoint = environment("CLAIM_ENDPOINT");
    out->ws_endpoint = environment("WS_ENDPOINT");
    out->linger_s = 30; /* over what a draining server asks to wait by default */
    out->ahead = 1;
}

#define ROWS_MAX 32

static bool parse_options(int argc, char **argv, const struct option_row *rows, size_t count,
                          int *status)
{
    struct option longs[ROWS_MAX + 3] = {{0}};
    size_t i;
    int c;

    for (i = 0; i < count; i++)
        longs[i] =
            (struct option){rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument,
                            NULL, 256 + (int)i};
    longs[i++] = (struct option){"help", no_argument, NULL, 'h'};
    longs[i] = (struct option){"version", no_argument, NULL, 'V'};
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'h' || c == 'V') {
            printf("%s", c == 'h' ? help : "teddy-device " TEDDY_SDK_VERSION "\n");
            *status = EXIT_DONE;
            return false;
        }
        if (c == '?')
            return usage(status, "wrong usage", "");
        if (!take(&rows[c - 256], optarg, status))
            return false;
    }
    if (optind < argc)
        return usage(status, "unexpected: ", argv[optind]);
    return true;
}

bool args_parse(int argc, char **argv, struct args *out, int *status)
{
    bool quiet = false, json = false;
    const uint32_t hour = 3600000;
    const struct option_row rows[] = {
        {"server", TEXT, &out->server, 0, 0},
        {"ca", TEXT, &out->ca, 0, 0},
        {"id", TEXT, &out->id, 0, 0},
        {"child", TEXT, &out->child, 0, 0},
        {"secret-file", TEXT, &out->secret_file, 0, 0},
        {"state", TEXT, &out->state, 0, 0},
        {"firmware", TEXT, &out->firmware, 0, 0},
        {"bind", TEXT, &out->bind, 0, 0},
        {"claim-endpoint", TEXT, &out->claim_endpoint, 0, 0},
        {"ws-endpoint", TEXT, &out->ws_endpoint, 0, 0},
        {"allow-plain", FLAG, &out->allow_plain, 0, 0},
        {"linger-s", NUMBER, &out->linger_s, 0, 3600},
        {"ahead", NUMBER, &out->ahead, 1, 64},
        {"quiet", FLAG, &quiet, 0, 0},
        {"json", FLAG, &json, 0, 0},
        {"verbose", FLAG, &out->verbose, 0, 0},
        {"backoff-floor-ms", NUMBER, &out->times.backoff_floor_ms, 1, hour},
        {"backoff-base-ms", NUMBER, &out->times.backoff_base_ms, 1, hour},
        {"backoff-cap-ms", NUMBER, &out->times.backoff_cap_ms, 1, hour},
        {"backoff-refused-ms", NUMBER, &out->times.backoff_refused_ms, 1, hour},
        {"step-timeout-ms", NUMBER, &out->times.step_timeout_ms, 1, hour},
        {"echo-timeout-ms", NUMBER, &out->times.echo_timeout_ms, 1, hour},
    };

    _Static_assert(sizeof rows / sizeof rows[0] <= ROWS_MAX, "ROWS_MAX");
    defaults(out);
    if (argc > 1 && strcmp(argv[1], "verify") == 0) {
        out->verify = true;
        out->child = "verify";
        argc--;
        argv++;
    }
    if (!parse_options(argc, argv, rows, sizeof rows / sizeof rows[0], status))
        return false;
    if (quiet && json)
        return usage(status, "--quiet and --json exclude each other", "");
    out->output = quiet ? OUTPUT_QUIET : json ? OUTPUT_JSON : OUTPUT_PEOPLE;
    return check(out, status);
}
