#include "bench/load/cpu.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_DEPTH 4 /* a shell, a master, its workers */

static uint64_t clock_of(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

uint64_t cpu_own(void)
{
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

bool cpu_pin(uint32_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static bool read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The n-th field of a stat file, counted from the state, which follows the name in brackets (that
 * may hold anything). */
static uint64_t stat_field(const char *text, int n)
{
    const char *at = strrchr(text, ')');

    for (int i = 0; at != NULL && i <= n; i++)
        at = strchr(at + 1, ' ');
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

static uint64_t thread_ns(uint32_t pid, const char *tid)
{
    char path[96], text[512];

    snprintf(path, sizeof path, "/proc/%u/task/%.20s/schedstat", pid, tid);
    if (read_small(path, text, sizeof text))
        return strtoull(text, NULL, 10);
    snprintf(path, sizeof path, "/proc/%u/task/%.20s/stat", pid, tid);
    if (!read_small(path, text, sizeof text))
        return 0;
    return (stat_field(text, 11) + stat_field(text, 12)) *
           (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool threads_ns(uint32_t pid, uint64_t *ns)
{
    char path[64];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%u/task", pid);
    dir = opendir(path);
    if (dir == NULL)
        return false;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            *ns += thread_ns(pid, entry->d_name);
    closedir(dir);
    return true;
}

static uint32_t parent_of(const char *pid)
{
    char path[64], text[512];

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    return read_small(path, text, sizeof text) ? (uint32_t)stat_field(text, 1) : 0;
}

static void add_children(uint32_t pid, uint64_t *ns, int depth)
{
    DIR *dir = depth > 0 ? opendir("/proc") : NULL;
    struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        uint32_t child = (uint32_t)strtoul(entry->d_name, NULL, 10);
        if (child == 0 || parent_of(entry->d_name) != pid)
            continue;
        (void)threads_ns(child, ns);
        add_children(child, ns, depth - 1);
    }
    closedir(dir);
}

bool cpu_of_process(uint32_t pid, uint64_t *ns)
{
    *ns = 0;
    if (!threads_ns(pid, ns))
        return false;
    add_children(pid, ns, CHILDREN_DEPTH);
    return true;
}

uint32_t cpu_read_pid(const char *file)
{
    char text[32];

    return read_small(file, text, sizeof text) ? (uint32_t)strtoul(text, NULL, 10) : 0;
}
