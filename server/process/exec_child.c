#include "process/exec_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops/log.h"
#include "proto/text.h"
#include "proto/utf8.h"

#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000

/* Nothing of ours: a program inherits no secret by way of the environment. */
static char *const ENVIRONMENT[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", NULL};

int exec_child_init(struct exec_child *c, const char *command, const struct exec_handler *handler,
                    char *err, size_t cap)
{
    unsigned count = 0;
    *c = (struct exec_child){.handler = handler, .command = strdup(command)};
    c->in.fd = c->out.fd = c->err.fd = c->end.fd = -1;
    if (!c->command)
        return TEDDY_ENOMEM;
    for (char *rest = c->command, *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word && count == EXEC_ARGS_MAX) {
            snprintf(err, cap, "exec_command: more than %d words", EXEC_ARGS_MAX);
            return TEDDY_EINVAL;
        }
        if (*word)
            c->args[count++] = word;
    }
    if (count == 0 || c->args[0][0] != '/' || access(c->args[0], X_OK) != 0) {
        snprintf(err, cap, "exec_command: '%s' is no absolute path of a program that can be run",
                 count ? c->args[0] : "");
        return TEDDY_EINVAL;
    }
    c->lines.max = EXEC_LINE_MAX;
    c->error_lines.max = EXEC_LINE_MAX;
    /* Of the whole server, which starts nothing that needs more: so it cannot be forgotten. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return TEDDY_OK;
    snprintf(err, cap, "exec_command: cannot give privileges up: %s", strerror(errno));
    return TEDDY_EINVAL;
}

static void close_io(struct exec_child *c, struct loop_io *io)
{
    if (io->fd < 0)
        return;
    loop_io_del(c->loop, io);
    close(io->fd);
    io->fd = -1;
}

static void close_all(struct exec_child *c)
{
    close_io(c, &c->in);
    close_io(c, &c->out);
    close_io(c, &c->err);
    close_io(c, &c->end);
    lines_fini(&c->lines);
    lines_fini(&c->error_lines);
    buffer_fini(&c->waiting);
    c->lines = (struct lines){.max = EXEC_LINE_MAX};
    c->error_lines = (struct lines){.max = EXEC_LINE_MAX};
    c->written = 0;
}

/* ---- what it says */

/* One that writes lines without end is killed by their length; this is about its errors. */
static void log_error(struct exec_child *c, struct span line)
{
    char text[EXEC_ERROR_MAX + 1];
    uint64_t second = loop_now_ms(c->loop) / 1000;
    size_t n = 0;
    if (second != c->error_second)
        c->errors = 0;
    c->error_second = second;
    if (++c->errors > EXEC_ERRORS_S)
        return;
    for (; n < line.len && n < EXEC_ERROR_MAX; n++)
        text[n] = (char)(line.p[n] >= ' ' && line.p[n] < 0x7F ? line.p[n] : '?');
    text[n] = '\0';
    LOG(LOG_WARN, c->errors == EXEC_ERRORS_S ? "exec_stderr_too_much" : "exec_stderr",
        LOG_S("line", text));
}

/* False: it has closed, or what it says is too much. */
static bool read_lines(struct exec_child *c, struct loop_io *io, struct lines *lines,
                       void (*each)(struct exec_child *c, struct span line))
{
    char buf[16384]; /* not the loop's: handlers may use that */
    ssize_t n = read(io->fd, buf, sizeof buf);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    struct span bytes = {buf, (size_t)n}, line;
    int rc = n == 0 ? TEDDY_ECLOSED : TEDDY_OK;
    while (rc == TEDDY_OK && io->fd >= 0) {
        rc = lines_next(lines, &bytes, &line);
        if (rc == TEDDY_OK)
            each(c, line);
    }
    wipe(buf, sizeof buf);
    return rc == TEDDY_AGAIN || io->fd < 0;
}

static void on_line(struct exec_child *c, struct span line)
{
    c->handler->line(c, line);
}

static void on_out(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct exec_child *c = CONTAINER(io, struct exec_child, out);
    (void)loop;
    (void)events;
    if (!read_lines(c, io, &c->lines, on_line))
        exec_child_kill(c);
}

static void on_err(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct exec_child *c = CONTAINER(io, struct exec_child, err);
    (void)loop;
    (void)events;
    if (!read_lines(c, io, &c->error_lines, log_error))
        close_io(c, io); /* it may do without */
}

/* ---- what it hears */

static void flush(struct exec_child *c)
{
    while (c->written < c->waiting.len) {
        ssize_t n = write(c->in.fd, c->waiting.p + c->written, c->waiting.len - c->written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* full, or it is gone: its end tells */
        c->written += (size_t)n;
    }
    if (c->written == c->waiting.len) {
        if (c->waiting.p)
            wipe(c->waiting.p, c->waiting.len);
        c->waiting.len = c->written = 0;
    }
    uint32_t events = c->waiting.len ? LOOP_WRITE : 0;
    if (events != c->in.events && loop_io_mod(c->loop, &c->in, events) != TEDDY_OK)
        exec_child_kill(c);
}

static void on_in(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct exec_child *c = CONTAINER(io, struct exec_child, in);
    (void)loop;
    if (events & LOOP_HANGUP)
        exec_child_kill(c);
    else
        flush(c);
}

/* What it has read goes. */
static void drop_written(struct exec_child *c)
{
    struct buffer *b = &c->waiting;
    size_t len = b->len - c->written;
    if (c->written == 0)
        return;
    memmove(b->p, b->p + c->written, len);
    wipe(b->p + len, c->written);
    b->len = len;
    c->written = 0;
}

bool exec_child_write(struct exec_child *c, struct span line)
{
    if (c->waiting.len + line.len + 1 > EXEC_WAITING_MAX)
        drop_written(c);
    if (c->in.fd < 0 || c->waiting.len + line.len + 1 > EXEC_WAITING_MAX ||
        buffer_add(&c->waiting, line, EXEC_WAITING_MAX) != TEDDY_OK)
        return false;
    if (buffer_add(&c->waiting, (struct span){"\n", 1}, EXEC_WAITING_MAX) != TEDDY_OK) {
        c->waiting.len -= line.len;
        return false;
    }
    flush(c);
    return true;
}

/* ---- its life */

static void start(struct exec_child *c);

static void start_later(struct exec_child *c)
{
    uint64_t now = loop_now_ms(c->loop);
    uint32_t next = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
    c->backoff_ms = c->backoff_ms ? next : BACKOFF_MIN_MS;
    loop_timer_set(c->loop, &c->again, now + c->backoff_ms);
}

static void on_again(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    start(CONTAINER(timer, struct exec_child, again));
}

static void on_end(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct exec_child *c = CONTAINER(io, struct exec_child, end);
    int status = 0;
    (void)loop;
    (void)events;
    kill(-c->pid,
         SIGKILL); /* whatever it has started; first: until it is waited for, its id is its own */
    if (waitpid(c->pid, &status, WNOHANG) != c->pid)
        return;
    LOG(LOG_WARN, "exec_ended", LOG_N("pid", c->pid),
        LOG_N("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
        LOG_N("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
    c->pid = 0;
    close_all(c);
    start_later(c);
    c->handler->gone(c);
}

void exec_child_kill(struct exec_child *c)
{
    if (c->pid)
        kill(-c->pid, SIGKILL);
    close_io(c, &c->in); /* its end is awaited */
    close_io(c, &c->out);
}

static bool set_spawn(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes,
                      const int theirs[3])
{
    sigset_t none, all;
    bool ok = true;
    sigemptyset(&none);
    sigfillset(&all);
    for (int i = 0; i < 3; i++)
        ok = posix_spawn_file_actions_adddup2(files, theirs[i], i) == 0 && ok;
    return ok && posix_spawn_file_actions_addclosefrom_np(files, 3) == 0 &&
           posix_spawn_file_actions_addchdir_np(files, "/") == 0 &&
           posix_spawnattr_setsigmask(attributes, &none) == 0 &&
           posix_spawnattr_setsigdefault(attributes, &all) == 0 &&
           posix_spawnattr_setpgroup(attributes, 0) == 0 &&
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP) == 0;
}

/* 0 or errno. */
static int spawn(struct exec_child *c, const int theirs[3])
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_spawn(&files, &attributes, theirs)
                 ? posix_spawn(&c->pid, c->args[0], &files, &attributes, c->args, ENVIRONMENT)
                 : ENOMEM;
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static bool watch(struct exec_child *c, struct loop_io *io, int fd, uint32_t events,
                  void (*ready)(struct loop *, struct loop_io *, uint32_t))
{
    *io = (struct loop_io){.fd = fd, .ready = ready};
    if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
        loop_io_add(c->loop, io, events) == TEDDY_OK)
        return true;
    if (fd >= 0)
        close(fd);
    io->fd = -1;
    return false;
}

/* 0 or errno. */
static int start_with(struct exec_child *c, int in[2], int out[2], int err[2])
{
    int theirs[3] = {in[0], out[1], err[1]};
    int rc = spawn(c, theirs);
    if (rc != 0) {
        c->pid = 0;
        return rc;
    }
    bool ok = watch(c, &c->end, pidfd_open(c->pid, 0), LOOP_READ, on_end);
    ok = watch(c, &c->in, in[1], 0, on_in) && ok;
    ok = watch(c, &c->out, out[0], LOOP_READ, on_out) && ok;
    ok = watch(c, &c->err, err[0], LOOP_READ, on_err) && ok;
    in[1] = out[0] = err[0] = -1;
    if (ok)
        return 0;
    kill(-c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    c->pid = 0;
    close_all(c);
    return EMFILE;
}

static void start(struct exec_child *c)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int rc = pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0
                 ? errno
                 : start_with(c, in, out, err);
    close_pair(in);
    close_pair(out);
    close_pair(err);
    c->started_ms = loop_now_ms(c->loop);
    if (rc == 0) {
        LOG(LOG_INFO, "exec_started", LOG_S("program", c->args[0]), LOG_N("pid", c->pid));
        return;
    }
    LOG(LOG_ERROR, "exec_not_started", LOG_S("program", c->args[0]), LOG_S("error", strerror(rc)));
    start_later(c);
}

void exec_child_start(struct exec_child *c, struct loop *loop)
{
    c->loop = loop;
    c->again.fire = on_again;
    start(c);
}

void exec_child_hang_up(struct exec_child *c)
{
    if (!c->loop)
        return;
    loop_timer_unset(c->loop, &c->again);
    close_io(c, &c->in);
}

void exec_child_stop(struct exec_child *c, int *patience_ms)
{
    if (!c->loop)
        return;
    exec_child_hang_up(c);
    while (c->pid && waitpid(c->pid, NULL, WNOHANG) == 0) {
        if (*patience_ms <= 0)
            kill(-c->pid, SIGKILL);
        *patience_ms -= 10;
        usleep(10000);
    }
    c->pid = 0;
    close_all(c);
}

void exec_child_fini(struct exec_child *c)
{
    free(c->command);
}
