/* Limits and clock. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"

#define BACKLOG_LEAST 1024
#define TRACKED_FULL  95 /* of 100 */
#define CLOCK_SLACK_S 300
#define RELEASED_S    1767225600 /* no clock is right that says it is before 2026 */

/* The first number of a file of /proc behind `after` ("": at its beginning); false: it is not
 * there. */
static bool read_number(const struct doctor *d, const char *name, const char *after,
                        unsigned long *out)
{
    char path[PATH_MAX], line[256];
    bool got = false;
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", d->proc, name);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    while (!got && fgets(line, sizeof line, f) != NULL) {
        char *end, *at = line + strlen(after);
        if (strncmp(line, after, strlen(after)) != 0)
            continue;
        *out = strstr(at, "unlimited") != NULL ? ~0ul : strtoul(at, &end, 10);
        got = true;
    }
    (void)fclose(f);
    return got;
}

static void examine_descriptors(struct doctor *d)
{
    unsigned long want = d->config.connections_max + d->config.connections_max / 8 + 128, have = 0;
    char path[64], mend[200];
    struct rlimit own;

    if (d->server > 0) {
        (void)snprintf(path, sizeof path, "%d/limits", (int)d->server);
        if (!read_number(d, path, "Max open files", &have)) {
            found(d, FINDING_WARNS, "sudo teddyctl doctor", "/proc/%s cannot be read", path);
            return;
        }
    } else if (getrlimit(RLIMIT_NOFILE, &own) == 0) {
        have = own.rlim_max; /* the server raises its own as far as this */
    }
    if (have >= want) {
        found_good(d, "%lu open files are allowed, for %u connections", have,
                   d->config.connections_max);
        return;
    }
    (void)snprintf(
        mend, sizeof mend,
        "systemctl edit teddyd   # [Service] LimitNOFILE=%lu; from a shell: ulimit -n %lu", want,
        want);
    found(d, d->server > 0 ? FINDING_WRONG : FINDING_WARNS, mend,
          "%s may open %lu files, and connections_max = %u needs %lu",
          d->server > 0 ? "the server" : "who starts a server here", have,
          d->config.connections_max, want);
}

/* A connection stays tracked for a while after its end: two for each are the least. */
static void examine_tracked(struct doctor *d)
{
    unsigned long max, count = 0, want = 4ul * d->config.connections_max;
    char mend[160];

    if (!read_number(d, "sys/net/netfilter/nf_conntrack_max", "", &max))
        return;
    (void)read_number(d, "sys/net/netfilter/nf_conntrack_count", "", &count);
    (void)snprintf(mend, sizeof mend, "sysctl -w net.netfilter.nf_conntrack_max=%lu",
                   want > 2 * max ? want : 2 * max);
    if (max < want / 2)
        found(d, FINDING_WRONG, mend,
              "net.netfilter.nf_conntrack_max is %lu, for %u connections: the packet filter drops "
              "new ones when it is full",
              max, d->config.connections_max);
    else if (count >= max / 100 * TRACKED_FULL)
        found(d, FINDING_WRONG, mend,
              "%lu of %lu connections that the packet filter can track are there: it drops new "
              "ones when it is full",
              count, max);
    else
        found_good(d, "%lu connections are tracked by the packet filter", max);
}

/* Of the network that this runs in: a container has its own. */
static void examine_network(struct doctor *d)
{
    unsigned long n;

    if (!read_number(d, "sys/net/core/somaxconn", "", &n))
        return;
    if (n >= BACKLOG_LEAST)
        found_good(d, "%lu connections may wait to be accepted", n);
    else
        found(d, FINDING_WRONG, "sysctl -w net.core.somaxconn=4096",
              "net.core.somaxconn is %lu: when many toys come at once, the others are refused", n);
    examine_tracked(d);
}

void examine_limits(struct doctor *d)
{
    d->area = "limits";
    examine_descriptors(d);
    examine_network(d);
}

/* What was written last cannot be of tomorrow. */
static void examine_past(struct doctor *d, time_t now)
{
    char path[sizeof d->ctl->dir + 32];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/teddy.db", d->ctl->dir);
    if (d->has_dir && stat(path, &st) == 0 && st.st_mtime > now + CLOCK_SLACK_S)
        found(
            d, FINDING_WRONG, "timedatectl set-ntp true   # or: date --set …, then teddyctl doctor",
            "the clock is behind: %s was written %lld minutes from now, and tokens made since are "
            "not yet good",
            path, (long long)(st.st_mtime - now) / 60);
}

void examine_clock(struct doctor *d)
{
    struct timex t = {0};
    time_t now = time(NULL);
    int state = adjtimex(&t);

    d->area = "clock";
    if (now < RELEASED_S)
        found(d, FINDING_WRONG, "timedatectl set-ntp true",
              "it is before this program was made: no token and no certificate can be judged");
    else if (state < 0 || state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
        found(d, FINDING_WARNS, "timedatectl set-ntp true   # package systemd-timesyncd or chrony",
              "nothing keeps it right (not synchronised): tokens and certificates go by it");
    else
        found_good(d, "synchronised, to %ld ms", t.maxerror / 1000);
    examine_past(d, now);
}
