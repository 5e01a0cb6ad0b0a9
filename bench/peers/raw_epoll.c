/* The cheapest WebSocket echo that epoll allows: one wait a round, one receive and one send a
 * message. raw_epoll [--json] [--two]; with --json the reply is the one of teddyd's session with
 * `processor = echo`, byte for byte; with --two there are two processes, which share a port and
 * nothing else. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

static void take(int epoll, int listener)
{
    int fd;
    while ((fd = floor_accept(listener)) >= 0) {
        struct floor_conn *c = calloc(1, sizeof *c);
        if (c == NULL)
            abort();
        c->fd = fd;
        floor_watch(epoll, fd, c);
    }
}

static void serve(struct floor_conn *c, bool json)
{
    static uint8_t in[FLOOR_BUFFER], out[FLOOR_BUFFER];
    ssize_t got = recv(c->fd, in, sizeof in, 0);
    long made = got <= 0 ? -1 : floor_answer(c, json, in, (size_t)got, out);
    if (made == 0 || (made > 0 && send(c->fd, out, (size_t)made, MSG_NOSIGNAL) == made))
        return;
    close(c->fd);
    free(c->kept);
    free(c);
}

static void run(int listener, bool json)
{
    struct epoll_event events[FLOOR_ROUND];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    floor_watch(epoll, listener, NULL);
    for (;;) {
        int n = epoll_wait(epoll, events, FLOOR_ROUND, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                take(epoll, listener);
            else
                serve(events[i].data.ptr, json);
        }
    }
}

int main(int argc, char **argv)
{
    uint16_t port = 0;
    bool json = false, two = false;

    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        two |= strcmp(argv[i], "--two") == 0;
    }
    int listener = floor_listen(&port), second = two ? floor_listen(&port) : -1;
    if (two && fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(listener);
        run(second, json);
    }
    if (two)
        close(second);
    floor_ready(port);
    run(listener, json);
}
