/* The admin socket, and the addresses that the server is to listen on: free, or its own. */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "cli/doctor.h"
#include "cli/link.h"
#include "ops/datalock.h"

#define LISTENS "0A" /* the state in /proc/net/tcp */

/* ---- Who holds a port ---- */

/* The inode of a socket that listens on the port; 0: none. */
static unsigned long inode_of(const char *table, uint16_t port)
{
    unsigned long inode = 0;
    char line[512];
    FILE *f = fopen(table, "re");

    while (f != NULL && inode == 0 && fgets(line, sizeof line, f) != NULL) {
        /* sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode */
        char *field[10] = {NULL}, *rest = line, *colon;
        for (int i = 0; i < 10; i++)
            do
                field[i] = strsep(&rest, " ");
            while (field[i] != NULL && field[i][0] == '\0');
        colon = field[1] != NULL ? strchr(field[1], ':') : NULL;
        if (field[9] != NULL && colon != NULL && strcmp(field[3], LISTENS) == 0 &&
            strtoul(colon + 1, NULL, 16) == port)
            inode = strtoul(field[9], NULL, 10);
    }
    if (f != NULL)
        (void)fclose(f);
    return inode;
}

static bool has_socket(pid_t pid, const char *wanted)
{
    char path[300], link[64];
    struct dirent *e;
    bool found_it = false;
    DIR *dir;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir != NULL && !found_it && (e = readdir(dir)) != NULL) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        found_it = strcmp(link, wanted) == 0;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return found_it;
}

/* The process that listens there, the server itself before others that share it; 0: not known. */
static pid_t holder_of(uint16_t port, pid_t server)
{
    unsigned long inode = inode_of("/proc/net/tcp", port);
    char wanted[48];
    struct dirent *e;
    pid_t pid = 0;
    DIR *proc;

    if (inode == 0)
        inode = inode_of("/proc/net/tcp6", port);
    if (inode == 0)
        return 0;
    (void)snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    if (server > 0 && has_socket(server, wanted))
        return server;
    proc = opendir("/proc");
    while (proc != NULL && pid == 0 && (e = readdir(proc)) != NULL) {
        pid_t p = isdigit((unsigned char)e->d_name[0]) ? (pid_t)strtol(e->d_name, NULL, 10) : 0;
        if (p > 0 && has_socket(p, wanted))
            pid = p;
    }
    if (proc != NULL)
        (void)closedir(proc);
    return pid;
}

static void name_of(pid_t pid, char out[32])
{
    char path[40];
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    f = fopen(path, "re");
    if (f == NULL || fgets(out, 32, f) == NULL)
        (void)snprintf(out, 32, "?");
    out[strcspn(out, "\n")] = '\0';
    if (f != NULL)
        (void)fclose(f);
}

/* ---- An address ---- */

/* 0, or errno of what a server would meet; below 0: the host has no address. */
static int try_bind(const char *host, uint16_t port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];
    int why = 0, one = 1;

    (void)snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return -1;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 1) != 0)
        why = errno;
    if (fd >= 0)
        (void)close(fd);
    freeaddrinfo(list);
    return why;
}

static void held(struct doctor *d, const char *key, const char *address, uint16_t port)
{
    pid_t pid = holder_of(port, d->server);
    char name[32], mend[200];

    if (pid > 0 && (pid == d->server || pid == 1)) {
        found_good(d, "%s %s is %s", key, address,
                   pid == d->server ? "the server's" : "systemd's, for it");
        return;
    }
    if (pid == 0) {
        (void)snprintf(mend, sizeof mend, "ss -ltnp 'sport = :%u'", port);
        found(d, d->server > 0 ? FINDING_WARNS : FINDING_WRONG, mend,
              "%s %s is in use, and by whom cannot be seen from here", key, address);
        return;
    }
    name_of(pid, name);
    (void)snprintf(mend, sizeof mend, "kill %d   # or another %s", (int)pid, key);
    found(d, FINDING_WRONG, mend, "%s %s is held by process %d (%s)", key, address, (int)pid, name);
}

static void examine_address(struct doctor *d, const char *key, const char *address)
{
    char host[256], mend[400];
    uint16_t port = 0;
    int why;

    if (address[0] == '\0' || config_host_port(address, host, sizeof host, &port) != TEDDY_OK ||
        port == 0)
        return;
    why = try_bind(host, port);
    if (why == 0 && d->server == 0)
        found_good(d, "%s %s is free", key, address);
    else if (why == 0)
        found(d, FINDING_WARNS, "systemctl restart teddyd   # or say --config as the server has it",
              "the server that runs does not listen on %s %s", key, address);
    else if (why == EADDRINUSE)
        held(d, key, address, port);
    else if (why == EACCES)
        found(d, FINDING_WARNS,
              "systemctl enable --now teddyd.socket   # systemd opens it for the server",
              "%s %s: port %u needs a privilege that this user has not", key, address, port);
    else {
        (void)snprintf(mend, sizeof mend, "ip address show   # and set another %s", key);
        found(d, FINDING_WRONG, mend, "%s %s: %s", key, address,
              why < 0 ? "the host's name has no address" : strerror(why));
    }
}

/* ---- The admin socket ---- */

/* Who holds the lock and does not answer is starting, ending, or hangs. */
static void examine_socket(struct doctor *d)
{
    char path[sizeof d->ctl->dir + 32], err[512], mend[200] = "journalctl -u teddyd -n 50";
    int lock = -1, rc;

    (void)snprintf(path, sizeof path, "%s/" ADMIN_SOCKET, d->ctl->dir);
    if (d->server > 0) {
        found_good(d, "the admin socket answers");
        return;
    }
    (void)snprintf(path, sizeof path, "%s/lock", d->ctl->dir);
    if (access(path, F_OK) != 0 || !link_become_owner(d->ctl->dir))
        return;
    rc = data_lock(d->ctl->dir, &lock, err, sizeof err);
    data_unlock(lock);
    link_become_self();
    if (rc == TEDDY_OK)
        return;
    const char *process = strstr(err, "process ");
    if (process != NULL)
        (void)snprintf(mend, sizeof mend, "kill %ld   # if it goes on; teddyd starts anew",
                       strtol(process + strlen("process "), NULL, 10));
    found(d, FINDING_WRONG, mend, "%s, and the admin socket does not answer", err);
}

void examine_ports(struct doctor *d)
{
    d->area = "ports";
    if (d->has_dir)
        examine_socket(d);
    examine_address(d, "listen", d->config.listen);
    examine_address(d, "admin_listen", d->config.admin_listen);
    examine_address(d, "metrics_listen", d->config.metrics_listen);
}
