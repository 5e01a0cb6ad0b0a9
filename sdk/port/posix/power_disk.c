#include "power_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLS_MAX   64
#define INODE_MAX   32
#define FD_MAX      256
#define PENDING_MAX 12

const char *const disk_suffix[DISK_NAMES] = {"", ".last", ".key", ".time", ".lock", ".tmp"};

enum kind { CREATE, WRITE, SYNC, RENAME, LINK, UNLINK, SYNC_DIR };

struct call {
    enum kind kind;
    int from, to; /* names */
    int inode;
    size_t len;
};

struct inode {
    size_t len;
    uint8_t data[DISK_FILE_MAX];
};

static struct {
    bool on;
    char path[128];
    struct call calls[CALLS_MAX];
    size_t count, seen, fail_at;
    ssize_t room;
    struct inode inodes[INODE_MAX];
    int inode_count;
    int base[DISK_NAMES], now[DISK_NAMES]; /* inode of each name, -1: none */
    int inode_of_fd[FD_MAX];               /* 0: none, else one more than the inode */
} disk;

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_unlink(const char *path);

static int name_of(const char *path)
{
    size_t len = strlen(disk.path);

    if (!disk.on || strncmp(path, disk.path, len) != 0)
        return -1;
    for (int i = 0; i < DISK_NAMES; i++)
        if (strcmp(path + len, disk_suffix[i]) == 0)
            return i;
    return -1;
}

/* False, with errno, when this is the call that fails. */
static bool allowed(void)
{
    if (++disk.seen != disk.fail_at)
        return true;
    errno = EIO;
    return false;
}

static void note(struct call c)
{
    assert_true(disk.count < CALLS_MAX);
    disk.calls[disk.count++] = c;
}

static int inode_new(void)
{
    assert_true(disk.inode_count < INODE_MAX);
    disk.inodes[disk.inode_count].len = 0;
    return disk.inode_count++;
}

int __wrap_open(const char *path, int flags, ...)
{
    int name = name_of(path), fd;
    va_list args;
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if (name < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return __real_open(path, flags, mode);
    if (!allowed())
        return -1;
    fd = __real_open(path, flags, mode);
    if (fd < 0)
        return fd;
    assert_in_range(fd, 0, FD_MAX - 1);
    assert_false(flags & O_TRUNC); /* what is there is never written over */
    if (disk.now[name] < 0) {
        disk.now[name] = inode_new();
        note((struct call){.kind = CREATE, .to = name, .inode = disk.now[name]});
    }
    disk.inode_of_fd[fd] = disk.now[name] + 1;
    return fd;
}

int __wrap_close(int fd)
{
    if (fd >= 0 && fd < FD_MAX)
        disk.inode_of_fd[fd] = 0;
    return __real_close(fd);
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    int inode = disk.on && fd >= 0 && fd < FD_MAX ? disk.inode_of_fd[fd] - 1 : -1;
    struct inode *i;
    ssize_t n;

    if (inode < 0)
        return __real_write(fd, data, len);
    if (!allowed())
        return -1;
    if (disk.room == 0 && len > 0) {
        errno = ENOSPC;
        return -1;
    }
    if (disk.room > 0 && len > (size_t)disk.room)
        len = (size_t)disk.room;
    n = __real_write(fd, data, len);
    assert_int_equal(n, (ssize_t)len);
    disk.room -= disk.room > 0 ? n : 0;
    i = &disk.inodes[inode];
    assert_true(i->len + len <= sizeof i->data);
    memcpy(i->data + i->len, data, len);
    i->len += len;
    note((struct call){.kind = WRITE, .inode = inode, .len = len});
    return n;
}

/* Never the real one: what is safe is what the notes say. */
int __wrap_fsync(int fd)
{
    struct stat st;

    if (!disk.on)
        return 0;
    if (!allowed())
        return -1;
    assert_int_equal(fstat(fd, &st), 0);
    if (S_ISDIR(st.st_mode))
        note((struct call){.kind = SYNC_DIR});
    else if (fd < FD_MAX && disk.inode_of_fd[fd] > 0)
        note((struct call){.kind = SYNC, .inode = disk.inode_of_fd[fd] - 1});
    return 0;
}

int __wrap_rename(const char *from, const char *to)
{
    int a = name_of(from), b = name_of(to);

    if (a < 0 || b < 0)
        return __real_rename(from, to);
    if (!allowed() || __real_rename(from, to) != 0)
        return -1;
    note((struct call){.kind = RENAME, .from = a, .to = b, .inode = disk.now[a]});
    disk.now[b] = disk.now[a];
    disk.now[a] = -1;
    return 0;
}

int __wrap_link(const char *from, const char *to)
{
    int a = name_of(from), b = name_of(to);

    if (a < 0 || b < 0)
        return __real_link(from, to);
    if (!allowed() || __real_link(from, to) != 0)
        return -1;
    disk.now[b] = disk.now[a];
    note((struct call){.kind = LINK, .to = b, .inode = disk.now[b]});
    return 0;
}

int __wrap_unlink(const char *path)
{
    int a = name_of(path);

    if (a < 0)
        return __real_unlink(path);
    if (!allowed() || __real_unlink(path) != 0)
        return -1;
    note((struct call){.kind = UNLINK, .from = a, .inode = -1});
    disk.now[a] = -1;
    return 0;
}

void disk_read(const char *state_path, struct disk_state *out)
{
    for (int i = 0; i < DISK_NAMES; i++) {
        char name[160];
        int fd;
        snprintf(name, sizeof name, "%s%s", state_path, disk_suffix[i]);
        fd = __real_open(name, O_RDONLY | O_CLOEXEC);
        out->len[i] = fd < 0 ? -1 : read(fd, out->data[i], DISK_FILE_MAX);
        if (fd >= 0)
            __real_close(fd);
    }
}

void disk_write(const char *state_path, const struct disk_state *s)
{
    for (int i = 0; i < DISK_NAMES; i++) {
        char name[160];
        int fd;
        snprintf(name, sizeof name, "%s%s", state_path, disk_suffix[i]);
        __real_unlink(name);
        if (s->len[i] < 0)
            continue;
        fd = __real_open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(__real_write(fd, s->data[i], (size_t)s->len[i]), s->len[i]);
        __real_close(fd);
    }
}

void disk_note(const char *state_path)
{
    struct disk_state s;

    memset(&disk, 0, sizeof disk);
    disk.room = -1;
    disk_read(state_path, &s);
    for (int i = 0; i < DISK_NAMES; i++) {
        disk.base[i] = -1;
        if (s.len[i] >= 0) {
            disk.base[i] = inode_new();
            disk.inodes[disk.base[i]].len = (size_t)s.len[i];
            memcpy(disk.inodes[disk.base[i]].data, s.data[i], (size_t)s.len[i]);
        }
        disk.now[i] = disk.base[i];
    }
    snprintf(disk.path, sizeof disk.path, "%s", state_path);
    disk.on = true;
}

void disk_stop(void)
{
    disk.on = false;
}

void disk_room(ssize_t bytes)
{
    disk.room = bytes;
}

void disk_fail(size_t nth)
{
    disk.fail_at = nth;
    disk.seen = 0;
}

size_t disk_calls(void)
{
    return disk.count;
}

const char *disk_call_text(size_t n)
{
    static const char *const kinds[] = {"create", "write",  "sync",          "rename",
                                        "link",   "unlink", "sync directory"};

    return n < disk.count ? kinds[disk.calls[n].kind] : "nothing";
}

/* What is on the disk for sure, and what may be. */
struct cut {
    bool honest;
    int safe[DISK_NAMES];
    struct call pending[PENDING_MAX]; /* of names */
    size_t pending_count;
    size_t len[INODE_MAX], synced[INODE_MAX];
    void (*visit)(const struct disk_state *s, void *user);
    void *user;
};

static void apply(int names[DISK_NAMES], const struct call *c)
{
    if (c->kind == RENAME || c->kind == UNLINK)
        names[c->from] = -1;
    if (c->kind != UNLINK)
        names[c->to] = c->inode;
}

static void replay(struct cut *cut, const struct call *c)
{
    switch (c->kind) {
    case WRITE:
        cut->len[c->inode] += c->len;
        break;
    case SYNC:
        if (cut->honest)
            cut->synced[c->inode] = cut->len[c->inode];
        break;
    case SYNC_DIR:
        for (size_t i = 0; cut->honest && i < cut->pending_count; i++)
            apply(cut->safe, &cut->pending[i]);
        cut->pending_count = cut->honest ? 0 : cut->pending_count;
        break;
    default:
        assert_true(cut->pending_count < PENDING_MAX);
        cut->pending[cut->pending_count++] = *c;
    }
}

/* The first `kept` bytes of inode's file, then zeros up to len; all others as written. */
static void show(const struct cut *cut, const int names[DISK_NAMES], int inode, size_t kept,
                 size_t len)
{
    struct disk_state s;

    for (int i = 0; i < DISK_NAMES; i++) {
        int at = names[i];
        s.len[i] = -1;
        if (at < 0)
            continue;
        s.len[i] = (ssize_t)(at == inode ? len : cut->len[at]);
        memcpy(s.data[i], disk.inodes[at].data, cut->len[at]);
        if (at == inode)
            memset(s.data[i] + kept, 0, len - kept);
    }
    cut->visit(&s, cut->user);
}

static void show_contents(const struct cut *cut, const int names[DISK_NAMES])
{
    show(cut, names, -1, 0, 0);
    for (int inode = 0; inode < disk.inode_count; inode++) {
        bool named = false;
        for (int i = 0; i < DISK_NAMES; i++)
            named = named || names[i] == inode;
        for (size_t kept = cut->synced[inode]; named && kept < cut->len[inode]; kept++) {
            show(cut, names, inode, kept, kept);
            show(cut, names, inode, kept, cut->len[inode]);
        }
    }
}

void disk_cut(size_t calls, bool honest, void (*visit)(const struct disk_state *s, void *user),
              void *user)
{
    static struct cut cut;

    memset(&cut, 0, sizeof cut);
    cut.honest = honest;
    cut.visit = visit;
    cut.user = user;
    memcpy(cut.safe, disk.base, sizeof cut.safe);
    for (int i = 0; i < DISK_NAMES; i++)
        if (disk.base[i] >= 0)
            cut.len[disk.base[i]] = cut.synced[disk.base[i]] = disk.inodes[disk.base[i]].len;
    for (size_t i = 0; i < calls; i++)
        replay(&cut, &disk.calls[i]);
    for (unsigned long which = 0; which < 1ul << cut.pending_count; which++) {
        int names[DISK_NAMES];
        if (!honest && (which & (which + 1)) != 0)
            continue; /* not the first few */
        memcpy(names, cut.safe, sizeof names);
        for (size_t i = 0; i < cut.pending_count; i++)
            if (which >> i & 1)
                apply(names, &cut.pending[i]);
        show_contents(&cut, names);
    }
}
