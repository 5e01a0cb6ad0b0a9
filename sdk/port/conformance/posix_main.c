/* teddy-conformance: does the POSIX port keep its contract? The pattern for a new port's own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix_board.h"

static const char help[] =
    "teddy-conformance --server URL --ca FILE [--desk FILE]\n"
    "\n"
    "Checks a port of the SDK, here the POSIX one, against a teddyd and the bad servers of "
    "desk.py:\n"
    "each step of the protocol, one line per check: pass, FAIL with what to look at, or skip.\n"
    "It checks a port; `teddy-device verify` checks a deployment. See docs/porting.md.\n"
    "\n"
    "  --server URL        https://HOST:PORT of teddyd, where the device is registered\n"
    "  --ca FILE           the authority of teddyd and desk.py (DIR/ca.crt)\n"
    "  --desk FILE         what desk.py printed; -: read it from stdin up to its line \"ready\".\n"
    "                      Without it the checks against bad servers are skipped\n"
    "  --id ID             the device; default " CONFORMANCE_DEVICE ", as registered by\n"
    "                      teddyctl device add " CONFORMANCE_DEVICE " --secret \\\n"
    "                      " CONFORMANCE_SECRET "\n"
    "  --child ID          default " CONFORMANCE_CHILD "\n"
    "  --state FILE        where the port keeps its records; default: a directory that is removed\n"
    "  --step-timeout MS   given to the SDK's core; default 2000\n"
    "  --call-max MS       a call that takes longer blocks; default 50\n"
    "  --message-wait MS   for a message of `teddyctl send`; default 2000\n"
    "  --home-wait MS      for the toy to be online at teddyd; default 90000\n"
    "  --only TEXT         only the checks whose name contains it\n"
    "  --list              prints the names of all checks\n"
    "  --verbose           the port's log on stderr\n"
#ifdef CONFORMANCE_BROKEN
    "  --break HOW         breaks the port on purpose\n"
#endif
    "  --help              this\n"
    "\n"
    "Exit status: 0 no check failed, 1 some did, 2 wrong usage.\n";

struct options {
    const char *server, *ca, *desk, *id, *child, *state, *only, *how;
    uint32_t step_ms, call_ms, message_ms, home_ms;
    bool verbose, list;
};

static int usage(const char *why, const char *what)
{
    fprintf(stderr, "teddy-conformance: %s%s; see teddy-conformance --help\n", why, what);
    return 2;
}

static bool number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    *out = (uint32_t)n;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n > 0 && n <= 600000;
}

/* Takes one option with its value; false: wrong. */
static bool take(struct options *o, const char *name, const char *value)
{
    const struct {
        const char *name, **text;
        uint32_t *number;
    } table[] = {
        {"--server", &o->server, NULL},
        {"--ca", &o->ca, NULL},
        {"--desk", &o->desk, NULL},
        {"--id", &o->id, NULL},
        {"--child", &o->child, NULL},
        {"--state", &o->state, NULL},
        {"--only", &o->only, NULL},
        {"--break", &o->how, NULL},
        {"--step-timeout", NULL, &o->step_ms},
        {"--call-max", NULL, &o->call_ms},
        {"--message-wait", NULL, &o->message_ms},
        {"--home-wait", NULL, &o->home_ms},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(name, table[i].name) != 0)
            continue;
        if (table[i].number)
            return number(value, table[i].number);
        *table[i].text = value;
        return true;
    }
    return false;
}

/* -1: go on; else the exit status. */
static int parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--verbose") == 0)
            o->verbose = true;
        else if (strcmp(argv[i], "--list") == 0)
            o->list = true;
        else if (i + 1 == argc || !take(o, argv[i], argv[i + 1]))
            return usage("wrong option or value: ", argv[i]);
        else
            i++;
    }
    if (!o->list && (!o->server || !o->ca))
        return usage("--server and --ca are needed", "");
    if (o->how && !posix_board_break(o->how))
        return usage("cannot break the port so: ", o->how);
    return -1;
}

/* Reads the desk's lines; false: it cannot be read. */
static bool read_desk(const char *path, char *out, size_t cap)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char line[200];
    size_t len = 0;

    while (f && fgets(line, sizeof line, f) && strcmp(line, "ready\n") != 0) {
        int n = snprintf(out + len, cap - len, "%s", line);
        if (n < 0 || (size_t)n >= cap - len)
            break;
        len += (size_t)n;
    }
    if (f && f != stdin)
        fclose(f);
    return len > 0;
}

static void secret_bytes(uint8_t out[32])
{
    for (size_t i = 0; i < 32; i++) {
        const char pair[] = {CONFORMANCE_SECRET[2 * i], CONFORMANCE_SECRET[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void remove_state(const char *dir)
{
    static const char *const names[] = {"state",      "state.last", "state.key",
                                        "state.time", "state.lock", "state.tmp"};
    char path[200];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static int run(const struct options *o, const char *desk, const char *state)
{
    uint8_t secret[32];
    struct posix_board board = {
        .options = {.ca_file = o->ca, .secret = secret, .state_file = state},
        .verbose = o->verbose,
    };
    struct conformance_config config = {
        .port = posix_board_port(),
        .board = &posix_board,
        .board_ctx = &board,
        .server_url = o->server,
        .desk = desk,
        .device_id = o->id,
        .child_id = o->child,
        .step_timeout_ms = o->step_ms,
        .call_max_ms = o->call_ms,
        .message_wait_ms = o->message_ms,
        .home_wait_ms = o->home_ms,
        .only = o->only,
    };

    secret_bytes(secret);
    return conformance_run(&config);
}

int main(int argc, char **argv)
{
    struct options o = {.step_ms = 2000};
    static char desk[4096];
    char dir[] = "/tmp/teddy-conformance-XXXXXX", state[64];
    int status = parse(&o, argc, argv);

    if (status >= 0)
        return status;
    signal(SIGPIPE, SIG_IGN);
    if (o.list) {
        conformance_list(&posix_board, NULL);
        return 0;
    }
    if (o.desk && !read_desk(o.desk, desk, sizeof desk))
        return usage("cannot read what desk.py printed: ", o.desk);
    if (o.state)
        return run(&o, o.desk ? desk : NULL, o.state);
    if (!mkdtemp(dir)) {
        perror("teddy-conformance: mkdtemp");
        return 1;
    }
    snprintf(state, sizeof state, "%s/state", dir);
    status = run(&o, o.desk ? desk : NULL, state);
    remove_state(dir);
    return status;
}
