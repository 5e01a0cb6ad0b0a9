/* The cheapest that stands between a toy and a backend: talk_floor PORT, of a chat_backend. Echoes
 * each message as teddyd does, asks the backend on a connection kept for each toy, and sends the
 * answer's words on in one reply. Nothing is judged, parsed, timed or bounded: what this adds to
 * the backend's time is the machine's, the generator's and the backend's own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

#define BODY 1200 /* as long as what teddyd asks with the prompt that is built in */

struct toy {
    struct floor_conn ws; /* first */
    int backend;          /* -1: none yet */
    bool over;            /* freed behind the round, in which there may be another event of it */
    struct toy *next;     /* of those */
    size_t len;
    char in[8192];
};

/* What epoll gives back for a toy's backend: the toy, with its lowest bit set. */
static struct toy *of_backend(void *ptr)
{
    return (uintptr_t)ptr & 1 ? (struct toy *)((uintptr_t)ptr - 1) : NULL;
}

static uint16_t backend_port;
static char request[BODY + 128];
static size_t request_len;
static struct toy *gone;

static void ask(int epoll, struct toy *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(backend_port)};
    int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (t->backend < 0) { /* on this machine, at once */
        t->backend = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (t->backend < 0 || connect(t->backend, (struct sockaddr *)&a, sizeof a) != 0)
            abort();
        (void)setsockopt(t->backend, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        floor_watch(epoll, t->backend, (void *)((uintptr_t)t | 1));
    }
    (void)!send(t->backend, request, request_len, MSG_NOSIGNAL);
}

static void leave(struct toy *t)
{
    close(t->ws.fd);
    if (t->backend >= 0)
        close(t->backend);
    t->over = true;
    t->next = gone;
    gone = t;
}

static void free_gone(void)
{
    for (struct toy *t; (t = gone) != NULL;) {
        gone = t->next;
        free(t->ws.kept);
        free(t);
    }
}

static void heard(int epoll, struct toy *t)
{
    static uint8_t in[FLOOR_BUFFER], out[FLOOR_BUFFER];
    bool upgraded = t->ws.upgraded;
    ssize_t got = recv(t->ws.fd, in, sizeof in, 0);
    long made = got <= 0 ? -1 : floor_answer(&t->ws, true, in, (size_t)got, out);
    if (made > 0 && send(t->ws.fd, out, (size_t)made, MSG_NOSIGNAL) == made) {
        if (upgraded)
            ask(epoll, t);
        return;
    }
    if (made != 0)
        leave(t);
}

/* The words of all events, one after the other. */
static size_t words_of(const char *answer, char *out, size_t cap)
{
    static const char before[] = "\"content\":\"";
    size_t n = 0;
    while ((answer = strstr(answer, before)) != NULL) {
        answer += sizeof before - 1;
        while (*answer != '"' && n + 1 < cap)
            out[n++] = *answer++;
    }
    out[n] = '\0';
    return n;
}

static void answered(struct toy *t)
{
    char words[1024], reply[1280], frame[1300];
    ssize_t n = recv(t->backend, t->in + t->len, sizeof t->in - 1 - t->len, 0);
    if (n <= 0) {
        leave(t);
        return;
    }
    t->len += (size_t)n;
    t->in[t->len] = '\0';
    if (t->len < 5 || strcmp(t->in + t->len - 5, "0\r\n\r\n") != 0)
        return;
    t->len = 0;
    (void)words_of(t->in, words, sizeof words);
    size_t len = (size_t)snprintf(reply, sizeof reply,
                                  "{\"type\":\"reply\",\"seq\":%u,\"text\":\"%s\",\"done\":true}",
                                  (unsigned)t->ws.seq, words);
    frame[0] = (char)0x81;
    frame[1] = 126;
    frame[2] = (char)(len >> 8);
    frame[3] = (char)len;
    memcpy(frame + 4, reply, len);
    (void)!send(t->ws.fd, frame, len + 4, MSG_NOSIGNAL);
}

static void take(int epoll, int listener)
{
    int fd;
    while ((fd = floor_accept(listener)) >= 0) {
        struct toy *t = calloc(1, sizeof *t);
        if (t == NULL)
            abort();
        t->ws.fd = fd;
        t->backend = -1;
        floor_watch(epoll, fd, t);
    }
}

static void ready(int epoll, int listener, void *ptr)
{
    struct toy *asked = of_backend(ptr);
    struct toy *t = asked != NULL ? asked : ptr;
    if (t == NULL)
        take(epoll, listener);
    else if (t->over)
        return;
    else if (asked != NULL)
        answered(asked);
    else
        heard(epoll, t);
}

int main(int argc, char **argv)
{
    struct epoll_event events[FLOOR_ROUND];
    uint16_t port = 0;
    int listener = floor_listen(&port), epoll = epoll_create1(EPOLL_CLOEXEC);
    backend_port = (uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
    request_len = (size_t)snprintf(request, sizeof request,
                                   "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   "Content-Length: %d\r\n\r\n%0*d",
                                   BODY, BODY, 0);
    floor_watch(epoll, listener, NULL);
    floor_ready(port);
    for (;;) {
        int n = epoll_wait(epoll, events, FLOOR_ROUND, -1);
        for (int i = 0; i < n; i++)
            ready(epoll, listener, events[i].data.ptr);
        free_gone();
    }
}
