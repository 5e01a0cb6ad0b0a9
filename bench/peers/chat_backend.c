/* A backend for talk: chat_backend [MS]. Answers each chat completion, whatever it asks, MS
 * milliseconds (500) after it was read, with three sentences, word by word as models do, and how
 * long that took in microseconds. A model costs more; this must cost little, so that it is not what
 * is measured. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"

struct conn {
    int fd;
    size_t len;
    uint64_t asked_ns; /* 0: nothing is asked */
    struct conn *next; /* in the order of their answers */
    char in[8192];
};

static struct conn *first, **last = &first;
static uint64_t delay_ns = 500000000;
static int epoll, timer;

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void set_timer(void)
{
    uint64_t at = first != NULL ? first->asked_ns + delay_ns : 0;
    struct itimerspec when = {
        .it_value = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)},
    };
    (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static int chunk(char *out, size_t cap, const char *event)
{
    return snprintf(out, cap, "%zx\r\n%s\r\n", strlen(event), event);
}

static void answer(struct conn *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    static const char end[] =
        "data: "
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
        "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    static const char *const words[] = {"Bears",   " like", " honey", " and",  " long",
                                        " walks.", " They", " sleep", " all",  " winter",
                                        " in",     " a",    " warm",  " den.", " What",
                                        " do",     " you",  " like",  " most?"};
    char event[256], number[32], out[8192];
    size_t n = sizeof head - 1, count = sizeof words / sizeof words[0];
    memcpy(out, head, n);
    for (size_t i = 0; i <= count; i++) {
        snprintf(number, sizeof number, " %llu",
                 (unsigned long long)(now_ns() - c->asked_ns) / 1000);
        snprintf(event, sizeof event,
                 "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
                 "\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}]}\n\n",
                 i < count ? words[i] : number);
        n += (size_t)chunk(out + n, sizeof out - n, event);
    }
    n += (size_t)chunk(out + n, sizeof out - n, end);
    n += (size_t)chunk(out + n, sizeof out - n, "data: [DONE]\n\n");
    n += (size_t)snprintf(out + n, sizeof out - n, "0\r\n\r\n");
    (void)!write(c->fd, out, n);
}

static void answer_due(void)
{
    uint64_t ticks;
    (void)!read(timer, &ticks, sizeof ticks);
    while (first != NULL && first->asked_ns + delay_ns <= now_ns()) {
        struct conn *c = first;
        first = c->next;
        if (first == NULL)
            last = &first;
        if (c->fd < 0) {
            free(c);
            continue;
        }
        answer(c);
        c->asked_ns = 0;
    }
    set_timer();
}

static void over(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    if (c->asked_ns == 0)
        free(c);
}

static void take(struct conn *c)
{
    ssize_t n = read(c->fd, c->in + c->len, sizeof c->in - 1 - c->len);
    if (n <= 0) {
        over(c);
        return;
    }
    c->len += (size_t)n;
    c->in[c->len] = '\0';
    char *body = strstr(c->in, "\r\n\r\n"), *length = strstr(c->in, "Content-Length: ");
    if (body == NULL || length == NULL ||
        c->len < (size_t)(body + 4 - c->in) + strtoul(length + 16, NULL, 10))
        return;
    c->len = 0;
    c->asked_ns = now_ns();
    c->next = NULL;
    *last = c;
    last = &c->next;
    if (first == c)
        set_timer();
}

int main(int argc, char **argv)
{
    static struct epoll_event events[FLOOR_ROUND];
    uint16_t port = 0;
    int listener = floor_listen(&port);
    if (argc > 1)
        delay_ns = strtoull(argv[1], NULL, 10) * 1000000u;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    floor_watch(epoll, listener, NULL);
    floor_watch(epoll, timer, &timer);
    floor_ready(port);
    for (;;) {
        int n = epoll_wait(epoll, events, FLOOR_ROUND, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &timer) {
                answer_due();
            } else if (events[i].data.ptr != NULL) {
                take(events[i].data.ptr);
            } else {
                struct conn *c = calloc(1, sizeof *c);
                if (c != NULL && (c->fd = floor_accept(listener)) >= 0)
                    floor_watch(epoll, c->fd, c);
                else
                    free(c);
            }
        }
    }
}
