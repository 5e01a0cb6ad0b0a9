#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "ops/log.h"
#include "ops/notify.h"
#include "teddyd.h"

static sigset_t handled(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void signals_block(void)
{
    sigset_t set = handled();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write over the limit fails like any other */
}

static void reload_certificate(struct server *s)
{
    char warning[ERROR_MAX] = "";
    struct tls_files files = server_tls_files(s);
    if (!s->tls)
        return;
    if (tls_context_reload(s->tls, &files, s->error, sizeof s->error, warning, sizeof warning) !=
        TEDDY_OK)
        LOG(LOG_ERROR, "certificate_not_reloaded", LOG_S("error", s->error),
            LOG_S("do", "the old one stays in use"));
    else
        LOG(LOG_INFO, "certificate_reloaded", LOG_S("file", files.cert), LOG_S("warning", warning));
}

static void reload(struct server *s)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    notify("RELOADING=1\nMONOTONIC_USEC=%lld",
           (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    reload_certificate(s);
    notify("READY=1");
}

static void signal_ready(struct loop *loop, struct loop_io *io, uint32_t events)
{
    struct server *s = (struct server *)(void *)((char *)io - offsetof(struct server, signals));
    struct signalfd_siginfo info;
    (void)loop;
    (void)events;
    while (read(io->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            reload(s);
        else
            drain_start(s, WS_CLOSE_RESTART, "restart");
    }
}

int signals_open(struct server *s)
{
    sigset_t set = handled();
    s->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    s->signals.ready = signal_ready;
    if (s->signals.fd >= 0 && loop_io_add(s->app.loops[0], &s->signals, LOOP_READ) == TEDDY_OK)
        return TEDDY_OK;
    snprintf(s->error, sizeof s->error, "cannot watch signals: %s", strerror(errno));
    return TEDDY_EIO;
}

void signals_close(struct server *s)
{
    if (s->signals.fd < 0)
        return;
    loop_io_del(s->app.loops[0], &s->signals);
    close(s->signals.fd);
    s->signals.fd = -1;
}
