#include "args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/endpoints.h"
#include "proto/ids.h"
#include "proto/limits.h"
#include "proto/text.h"
#include "teddy/client.h"
#include "teddy/version.h"
#include "tools/cmdline.h"

#define STR_(x) #x
#define STR(x)  STR_(x)

static const char intro[] =
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
    "  teddy-device --server https://toys.example --id Teddy-ESP32-0001 --child child123 \\\n"
    "               --secret-file secret --state state\n"
    "  teddy-device verify --server https://toys.example --id Teddy-Test --secret-file secret\n"
    "\n";

static const char outro[] =
    "\n"
    "Waits after failures have full jitter; at most 3600000 ms. --help and --version print this "
    "and "
    "the version.\n"
    "\n"
    "Exit status: 0 done; 1 failed, or something said was never echoed; 2 wrong usage.\n";

static bool usage(int *status, const char *what, const char *which)
{
    return cmdline_wrong("teddy-device", status, what, which);
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

bool args_parse(int argc, char **argv, struct args *out, int *status)
{
    bool quiet = false, json = false;
    const uint32_t hour = 3600000;
    int rest;
    const struct cmdline_row rows[] = {
        {"server", "URL", "https://host[:port]; there is no default   (environment: SERVER_URL)",
         CMDLINE_TEXT, &out->server, 0, 0},
        {"ca", "FILE", "the authority to trust, PEM, instead of the system's", CMDLINE_TEXT,
         &out->ca, 0, 0},
        {"id", "ID", "the toy's device_id", CMDLINE_TEXT, &out->id, 0, 0},
        {"child", "CHILD", "its child_id (verify: default \"verify\")", CMDLINE_TEXT, &out->child,
         0, 0},
        {"secret-file", "FILE", "its OOB secret, 64 hex digits, readable by its owner alone",
         CMDLINE_TEXT, &out->secret_file, 0, 0},
        {"state", "FILE",
         "its tokens, and in FILE.last its last message, sealed with FILE.key; verify keeps "
         "nothing",
         CMDLINE_TEXT, &out->state, 0, 0},
        {"firmware", "VERSION", "told to the server, at most 32 bytes", CMDLINE_TEXT,
         &out->firmware, 0, 0},
        {"bind", "ADDRESS", "connect from this local address", CMDLINE_TEXT, &out->bind, 0, 0},
        {"claim-endpoint", "PATH", "default " ENDPOINT_CLAIM "   (environment: CLAIM_ENDPOINT)",
         CMDLINE_TEXT, &out->claim_endpoint, 0, 0},
        {"ws-endpoint", "PATH", "default " ENDPOINT_WS "   (environment: WS_ENDPOINT)",
         CMDLINE_TEXT, &out->ws_endpoint, 0, 0},
        {"allow-plain", "", "accept http://, for development on one machine", CMDLINE_FLAG,
         &out->allow_plain, 0, 0},
        {"linger-s", "N",
         "at the end of input, end when nothing was answered for so long; default 30, 0 to 3600",
         CMDLINE_NUMBER, &out->linger_s, 0, 3600},
        {"ahead", "N", "lines said before the earlier ones are answered; default 1, 1 to 64",
         CMDLINE_NUMBER, &out->ahead, 1, 64},
        {"quiet", "", "print the teddy's answers, messages and failures alone", CMDLINE_FLAG,
         &quiet, 0, 0},
        {"json", "", "print events as JSON, one a line", CMDLINE_FLAG, &json, 0, 0},
        {"verbose", "", "more about what happens, on stderr", CMDLINE_FLAG, &out->verbose, 0, 0},
        {"backoff-floor-ms", "N",
         "the shortest wait after a failure; default " STR(TEDDY_BACKOFF_FLOOR_MS), CMDLINE_NUMBER,
         &out->times.backoff_floor_ms, 1, hour},
        {"backoff-base-ms", "N",
         "the bound of the first, doubling; default " STR(TEDDY_BACKOFF_BASE_MS), CMDLINE_NUMBER,
         &out->times.backoff_base_ms, 1, hour},
        {"backoff-cap-ms", "N", "the longest; default " STR(TEDDY_BACKOFF_CAP_MS), CMDLINE_NUMBER,
         &out->times.backoff_cap_ms, 1, hour},
        {"backoff-refused-ms", "N",
         "the first after a refusal that people must mend; default " STR(TEDDY_BACKOFF_REFUSED_MS),
         CMDLINE_NUMBER, &out->times.backoff_refused_ms, 1, hour},
        {"step-timeout-ms", "N", "for connecting or an answer; default " STR(TEDDY_STEP_TIMEOUT_MS),
         CMDLINE_NUMBER, &out->times.step_timeout_ms, 1, hour},
        {"echo-timeout-ms", "N", "before a line is said again; default " STR(TEDDY_ECHO_TIMEOUT_MS),
         CMDLINE_NUMBER, &out->times.echo_timeout_ms, 1, hour},
    };
    const struct cmdline line = {.program = "teddy-device",
                                 .version = TEDDY_SDK_VERSION,
                                 .intro = intro,
                                 .outro = outro,
                                 .width = 23,
                                 .rows = rows,
                                 .count = sizeof rows / sizeof rows[0],
                                 .page = "talking toy on Linux, and a probe of its server",
                                 .see = "teddyd(8), teddyctl(1), teddy-sim(1)"};

    defaults(out);
    if (argc > 1 && strcmp(argv[1], "verify") == 0) {
        out->verify = true;
        out->child = "verify";
        argc--;
        argv++;
    }
    if (!cmdline_parse(&line, argc, argv, &rest, status))
        return false;
    if (rest < argc)
        return usage(status, "unexpected: ", argv[rest]);
    if (quiet && json)
        return usage(status, "--quiet and --json exclude each other", "");
    out->output = quiet ? OUTPUT_QUIET : json ? OUTPUT_JSON : OUTPUT_PEOPLE;
    return check(out, status);
}
