#include "ops/process_stats.h"

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ops/metrics.h"

enum { STAT_STARTTIME = 22 }; /* its field in proc_pid_stat(5), from 1 */

static bool read_text(const char *path, char *text, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t len = fread(text, 1, cap - 1, f);
    text[len] = '\0';
    (void)fclose(f);
    return len > 0;
}

static void write_cpu(FILE *out)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0)
        return;
    double seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    metric_print(out, "process_cpu_seconds_total", "User and system CPU time spent", seconds);
}

static void write_memory(FILE *out)
{
    char text[128], *end;
    if (!read_text("/proc/self/statm", text, sizeof text))
        return;
    double page = (double)sysconf(_SC_PAGESIZE);
    unsigned long virtual = strtoul(text, &end, 10), resident = strtoul(end, NULL, 10);
    metric_print(out, "process_virtual_memory_bytes", "Virtual memory size",
                 (double)virtual * page);
    metric_print(out, "process_resident_memory_bytes", "Resident memory size",
                 (double)resident * page);
}

/* Linux tells how many there are from 6.2 on; before, they have to be counted. */
static double open_fds(void)
{
    struct stat st;
    double count = 0;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (double)st.st_size;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count - 1; /* but for the one that reads it */
}

static void write_fds(FILE *out)
{
    struct rlimit max;
    double open = open_fds();
    if (open > 0)
        metric_print(out, "process_open_fds", "Open file descriptors", open);
    if (getrlimit(RLIMIT_NOFILE, &max) == 0)
        metric_print(out, "process_max_fds", "Open file descriptors that there may be",
                     (double)max.rlim_cur);
}

/* In ticks since the system came up. */
static bool start_ticks(double *ticks)
{
    char text[1024];
    if (!read_text("/proc/self/stat", text, sizeof text))
        return false;
    char *at = strrchr(text, ')'); /* field 2, the only one that may hold spaces */
    for (int field = 2; at && field < STAT_STARTTIME; field++)
        at = strchr(at + 1, ' ');
    *ticks = at ? (double)strtoull(at, NULL, 10) : 0;
    return at != NULL;
}

static double started_s;

/* Once, so that it is one number for as long as the process lives: whoever counts its changes
 * counts starts, and not how the clock is kept right. */
static void find_start(void)
{
    struct timespec now, up;
    double ticks;
    if (start_ticks(&ticks) && clock_gettime(CLOCK_REALTIME, &now) == 0 &&
        clock_gettime(CLOCK_BOOTTIME, &up) == 0)
        started_s = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
                    ticks / (double)sysconf(_SC_CLK_TCK);
}

static void write_start(FILE *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, find_start);
    if (started_s > 0)
        metric_print(out, "process_start_time_seconds",
                     "When it was started, in seconds since 1970", started_s);
}

void process_stats_write(FILE *out)
{
    write_cpu(out);
    write_memory(out);
    write_fds(out);
    write_start(out);
}
